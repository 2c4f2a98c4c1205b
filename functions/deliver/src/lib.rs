//! Woken by the queue of deliveries.

mod guard;
mod post;
