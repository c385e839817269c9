//! The edge server.
#![forbid(unsafe_code)]

pub mod asset;
pub mod config;
pub mod page;
pub mod picture;

pub mod http;
