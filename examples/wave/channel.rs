//! The delivery from EC2 to the function.

use std::sync::Arc;

use standin::{Function, Pool, PoolFigures, Queue, QueueFigures, Region};
use tokio::task::JoinSet;

use crate::{
    options::{Delivery, Options},
    template,
};

/// The delivery of notices to the function; all of it ends on drop.
pub(crate) struct Channel {
    pool: Arc<Pool>,
    queue: Option<Queue>,
    tasks: JoinSet<()>,
}

impl Channel {
    /// Sets up the delivery that the options select.
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

    /// Sends an event.
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
            // The pool counts the events that are given up.
            let _ = pool.deliver(event.as_str(), template::RETRIES).await;
        });
    }

    /// Kills a process that is handling an invocation, if there is one.
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
