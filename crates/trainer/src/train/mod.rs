//! Training any burn module: groups of parameters with rates of their own, a checkpoint that goes on exactly
//! where the run stopped, a log, a time budget.
//!
//! ```text
//! let folder = RunFolder::open(path, &config)?;             // an error where the folder is another run's
//! let mut run = Run::begin(folder, settings, module)?;      // goes on from the folder's checkpoint
//! let first = run.next_step();                              // where the data must begin
//! match run.train(&stop, |step, module| { ...; Ok(Step { loss, samples, measures }) })? {
//!     Some(module) => ...,
//!     None => ...,                                          // time was up: a checkpoint has been written
//! }
//! ```
//!
//! Parameters are known by their path in the module (`codec.decoder.weight`); a [`Group`] is a prefix of such
//! paths. What no group names is frozen: no gradient is computed for it.

mod backend;
mod checkpoint;
mod folder;
mod parameters;
mod run;
mod schedule;
mod stop;

pub(crate) use backend::{Backend, precision};
pub(crate) use folder::RunFolder;
pub(crate) use parameters::{Group, Named, collect, initialise, restore, values_of};
pub(crate) use run::{Run, Settings, Step};
pub(crate) use stop::Stop;
