//! The edge server: restores the features that devices send, finishes the network in batches, and
//! answers with labels. Serves the page, the device's code and the models as well.
//!
//! A frame's way, in order: [`stream`] (receive, check, decode), [`engine`] (queue, batch, restore,
//! tail, top-k), [`answer`], [`stream`] (send). A picture of direct offloading comes in by [`http`]
//! and [`picture`] and takes the same way from the queue on.

#![forbid(unsafe_code)]

pub mod answer;
pub mod app;
pub mod asset;
pub mod bucket;
pub mod catalogue;
mod coded;
pub mod config;
pub mod engine;
pub mod error;
pub mod guests;
pub mod http;
pub mod log;
pub mod metrics;
pub mod models;
pub mod oip;
pub mod page;
pub mod patient;
pub mod picture;
pub mod server;
pub mod stream;
pub mod tls;
pub mod token;
pub mod traces;
