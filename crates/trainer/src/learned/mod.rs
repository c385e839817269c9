//! Codecs whose maps are learned, on a data set of one's own: the paper's AECNN and BottleNet++.
//!
//! Both go through the same hands, so that they can be compared: [`Harness`] has the data, the network and its
//! features; [`codec`] trains an encoder and a decoder around the quantiser; [`measure`] counts real bytes.
//! `docs/TRAINING.md` has the steps.

pub(crate) mod aecnn;
pub(crate) mod bottlenet;
mod codec;
pub(crate) mod export;
mod features;
mod harness;
mod loss;
mod measure;
mod network;
pub(crate) mod selection;

#[cfg(test)]
mod tests;
