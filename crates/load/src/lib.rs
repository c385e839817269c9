//! A device without a browser, and a fleet of them.
//!
//! [`device`] and [`link`] are a whole native client: [`device::NativeDevice`] turns pictures into
//! frames with the code that the browser runs, [`link::Link`] speaks the protocol, over TLS to those
//! whom [`trust`] vouches for. The rest
//! measures a server with many such clients: [`client`] is one of them, [`fleet`] all, [`account`]
//! what became of every frame, [`bare`] what the network alone could do.

#![forbid(unsafe_code)]

pub mod account;
pub mod bare;
pub mod client;
pub mod device;
pub mod fleet;
pub mod link;
pub mod trust;
