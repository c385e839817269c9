//! HTTP.
pub mod cache;
