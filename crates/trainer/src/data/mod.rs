//! Pictures on disk: which ones, their classes, and reading them.

mod classes;
mod pictures;

pub(crate) use pictures::{Loader, Picture, PictureArgs};
