//! Locking.

use std::sync::{Mutex, MutexGuard, PoisonError};

/// Locks a mutex. What it guards changes by one insertion or removal at a time: a panic leaves nothing inconsistent.
pub(crate) fn lock<T>(mutex: &Mutex<T>) -> MutexGuard<'_, T> {
    mutex.lock().unwrap_or_else(PoisonError::into_inner)
}
