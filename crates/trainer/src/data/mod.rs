//! Pictures: which ones, their classes, and reading them.
//!
//! For evaluation from folders: [`PictureArgs`] and [`Loader`]. For training: `trainer split` decides what each
//! picture is for ([`partition`]), `trainer pack` stores them in one file ([`Pack`]), [`Batches`] reads them.

mod augment;
mod batches;
mod classes;
mod pack;
pub(crate) mod packing;
pub(crate) mod partition;
mod pictures;

pub(crate) use augment::{Window, resample};
pub(crate) use batches::{Batch, Batches, Order, View, balanced, view};
pub(crate) use pack::Pack;
pub(crate) use partition::Part;
pub(crate) use pictures::{Loader, Picture, PictureArgs, input};
