//! What stands between EC2 and the function.

use std::sync::Arc;

use standin::{Function, Pool, PoolFigures, Queue, QueueFigures, Region};
use tokio::task::JoinSet;

use crate::{
    options::{Delivery, Options},
    template,
};

/// The way of the notices to the function; all of it ends on drop.
pub(crate) struct Channel {
    pool: Arc<Pool>,
    queue: Option<Queue>,
    tasks: JoinSet<()>,
}

impl Channel {
    /// Opens the way that the options say.
    pub(crate) fn open(home: &Region, options: &Options, function: Function) -> Self {
        let pool = Arc::new(Pool::new(function));
        let mut tasks = JoinSet::new();
        let queue = (options.delivery == Delivery::Queue).then(|| {
            let queue = Queue::new(home, "notices", options.visibility, template::MAX_RECEIVES);
            tasks.spawn(options.mapping.run(queue.clone(), Arc::clone(&pool)));
            queue
        });
        Self { pool, queue, tasks }
    }

    /// Sends an event on its way.
    pub(crate) fn send(&mut self, event: &str, twice: bool) {
        match &self.queue {
            Some(queue) if twice => queue.send_twice(event),
            Some(queue) => queue.send(event),
            None => (0..=usize::from(twice)).for_each(|_| self.invoke(event.to_owned())),
        }
    }

    fn invoke(&mut self, event: String) {
        let pool = Arc::clone(&self.pool);
        self.tasks.spawn(async move {
            // The pool counts what was given up.
            let _ = pool.deliver(event.as_str(), template::RETRIES).await;
        });
    }

    /// Kills a process in the middle of its invocation, if there is one.
    pub(crate) fn kill_one(&self) -> bool {
        self.pool.kill_one()
    }

    pub(crate) fn pool(&self) -> PoolFigures {
        self.pool.figures()
    }

    pub(crate) fn queue(&self) -> Option<QueueFigures> {
        self.queue.as_ref().map(Queue::figures)
    }
}
