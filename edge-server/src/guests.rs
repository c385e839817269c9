//! Who is connected from where, and how much each address may ask of the server.

use std::collections::HashMap;
use std::net::{IpAddr, Ipv6Addr};
use std::sync::{Arc, Mutex, MutexGuard, PoisonError};
use std::time::Instant;

use crate::bucket::Bucket;

/// What one address may have, and all of them together.
#[derive(Debug, Clone, Copy)]
pub struct GuestLimits {
    /// Connections, of all addresses.
    pub connections: u32,
    /// Connections of one address.
    pub connections_per_address: u32,
    /// Frames and pictures a second, on average, of one address.
    pub frames_per_address: u32,
    /// Bytes received a second, on average, from one address.
    pub bytes_per_address: u32,
}

/// Why an address is not served.
#[derive(Debug, Clone, Copy, PartialEq, Eq, thiserror::Error)]
pub enum TooMuch {
    /// The server has as many connections as it takes.
    #[error("the server has {0} connections already")]
    Connections(u32),
    /// The address has as many connections as one may have.
    #[error("{0} connections come from this address already")]
    ConnectionsOfAddress(u32),
    /// The address sends frames too fast.
    #[error("more than {0} frames a second come from this address")]
    Frames(u32),
    /// The address sends bytes too fast.
    #[error("more than {0} bytes a second come from this address")]
    Bytes(u32),
}

impl TooMuch {
    /// For counting.
    #[must_use]
    pub fn name(self) -> &'static str {
        match self {
            Self::Connections(_) => "connections",
            Self::ConnectionsOfAddress(_) => "connections_of_address",
            Self::Frames(_) => "frames_of_address",
            Self::Bytes(_) => "bytes_of_address",
        }
    }
}

/// Everybody who is connected.
#[derive(Debug)]
pub struct Guests {
    limits: GuestLimits,
    present: Mutex<Present>,
}

#[derive(Debug, Default)]
struct Present {
    connections: u32,
    addresses: HashMap<IpAddr, Guest>,
}

/// One address.
#[derive(Debug)]
struct Guest {
    connections: u32,
    frames: Bucket,
    bytes: Bucket,
}

impl Guests {
    /// Nobody yet.
    #[must_use]
    pub fn new(limits: GuestLimits) -> Arc<Self> {
        Arc::new(Self {
            limits,
            present: Mutex::default(),
        })
    }

    /// A connection from an address, until the visit is dropped. A proxy's own connections are
    /// only bounded with all others: those whom it brings are counted by [`Self::behind_proxy`].
    ///
    /// # Errors
    ///
    /// When the server or the address has too many already.
    pub fn enter(self: &Arc<Self>, address: IpAddr, is_proxy: bool) -> Result<Visit, TooMuch> {
        let limits = self.limits;
        let mut present = self.present();
        if present.connections >= limits.connections {
            return Err(TooMuch::Connections(limits.connections));
        }
        if !is_proxy {
            self.count(&mut present, address)?;
        }
        present.connections += 1;
        Ok(Visit {
            guests: Arc::clone(self),
            address: (!is_proxy).then(|| network(address)),
            connection: None,
        })
    }

    /// A request of an address that a proxy names, over the proxy's connection.
    ///
    /// # Errors
    ///
    /// When the address has too many open requests and sessions already.
    pub fn behind_proxy(
        self: &Arc<Self>,
        address: IpAddr,
        connection: Arc<Visit>,
    ) -> Result<Visit, TooMuch> {
        self.count(&mut self.present(), address)?;
        Ok(Visit {
            guests: Arc::clone(self),
            address: Some(network(address)),
            connection: Some(connection),
        })
    }

    fn count(&self, present: &mut Present, address: IpAddr) -> Result<(), TooMuch> {
        let (limits, now) = (self.limits, Instant::now());
        let address = network(address);
        let guest = present.addresses.entry(address).or_insert_with(|| Guest {
            connections: 0,
            frames: Bucket::new(limits.frames_per_address, now),
            bytes: Bucket::new(limits.bytes_per_address, now),
        });
        if guest.connections >= limits.connections_per_address {
            return Err(TooMuch::ConnectionsOfAddress(
                limits.connections_per_address,
            ));
        }
        guest.connections += 1;
        Ok(())
    }

    /// Connections that are open.
    #[must_use]
    pub fn connections(&self) -> u32 {
        self.present().connections
    }

    fn present(&self) -> MutexGuard<'_, Present> {
        // Nothing that holds it can panic half-way through a change.
        self.present.lock().unwrap_or_else(PoisonError::into_inner)
    }
}

/// An address's stay: one connection, or one request behind a proxy.
#[derive(Debug)]
pub struct Visit {
    guests: Arc<Guests>,
    /// `None` for a proxy itself.
    address: Option<IpAddr>,
    /// The proxy's connection that this request came by. `None` for a connection itself.
    connection: Option<Arc<Visit>>,
}

impl Visit {
    /// Whether the address may send a frame or picture of so many bytes now; takes its share if so.
    ///
    /// # Errors
    ///
    /// When it is too fast.
    pub fn receive(&self, bytes: usize, now: Instant) -> Result<(), TooMuch> {
        let limits = self.guests.limits;
        let mut present = self.guests.present();
        let guest = self
            .address
            .and_then(|address| present.addresses.get_mut(&address));
        let Some(guest) = guest else {
            return Ok(());
        };
        if !guest.frames.has(1.0, now) {
            return Err(TooMuch::Frames(limits.frames_per_address));
        }
        let bytes = bytes as f64;
        if !guest.bytes.has(bytes, now) {
            return Err(TooMuch::Bytes(limits.bytes_per_address));
        }
        guest.frames.take(1.0);
        guest.bytes.take(bytes);
        Ok(())
    }
}

impl Drop for Visit {
    fn drop(&mut self) {
        let now = Instant::now();
        let mut present = self.guests.present();
        if self.connection.is_none() {
            present.connections = present.connections.saturating_sub(1);
        }
        let Some(address) = self.address else {
            return;
        };
        let Some(guest) = present.addresses.get_mut(&address) else {
            return;
        };
        guest.connections = guest.connections.saturating_sub(1);
        // Who comes again at once shall not find full buckets; who was gentle is forgotten.
        let forget =
            guest.connections == 0 && guest.frames.is_full(now) && guest.bytes.is_full(now);
        if forget {
            present.addresses.remove(&address);
        }
        // So are those that left in a hurry and stayed away.
        if present.addresses.len() > 2 * present.connections as usize + 1024 {
            present.addresses.retain(|_, guest| {
                guest.connections > 0 || !guest.frames.is_full(now) || !guest.bytes.is_full(now)
            });
        }
    }
}

/// What counts as one address: of IPv6 the network of 64 bits, for that is what one customer gets.
fn network(address: IpAddr) -> IpAddr {
    match address.to_canonical() {
        IpAddr::V4(v4) => IpAddr::V4(v4),
        IpAddr::V6(v6) => {
            let [a, b, c, d, ..] = v6.segments();
            IpAddr::V6(Ipv6Addr::new(a, b, c, d, 0, 0, 0, 0))
        }
    }
}

#[cfg(test)]
mod tests {
    use std::time::Duration;

    use super::*;

    const LIMITS: GuestLimits = GuestLimits {
        connections: 3,
        connections_per_address: 2,
        frames_per_address: 5,
        bytes_per_address: 1000,
    };

    fn address(text: &str) -> IpAddr {
        text.parse().unwrap()
    }

    #[test]
    fn connections_are_bounded_by_address_and_in_all() {
        let guests = Guests::new(LIMITS);
        let one = address("192.0.2.1");
        let first = guests.enter(one, false).unwrap();
        let _second = guests.enter(one, false).unwrap();
        assert_eq!(
            guests.enter(one, false).unwrap_err(),
            TooMuch::ConnectionsOfAddress(2)
        );
        let _third = guests.enter(address("192.0.2.2"), false).unwrap();
        let refused = guests.enter(address("192.0.2.3"), false).unwrap_err();
        assert_eq!(refused, TooMuch::Connections(3));
        drop(first);
        assert_eq!(guests.connections(), 2);
        assert!(guests.enter(address("192.0.2.3"), false).is_ok());
    }

    #[test]
    fn one_ipv6_network_is_one_address_and_mapped_ipv4_is_ipv4() {
        let guests = Guests::new(LIMITS);
        let _one = guests
            .enter(address("2001:db8:1:2:aaaa::1"), false)
            .unwrap();
        let _two = guests
            .enter(address("2001:db8:1:2:bbbb::2"), false)
            .unwrap();
        assert!(guests.enter(address("2001:db8:1:2::3"), false).is_err());
        assert!(guests.enter(address("2001:db8:1:3::3"), false).is_ok());
        assert_eq!(network(address("::ffff:192.0.2.1")), address("192.0.2.1"));
    }

    #[test]
    fn frames_and_bytes_are_bounded_over_all_connections_of_an_address() {
        let guests = Guests::new(LIMITS);
        let one = guests.enter(address("192.0.2.1"), false).unwrap();
        let two = guests.enter(address("192.0.2.1"), false).unwrap();
        let now = Instant::now();
        for visit in [&one, &two].into_iter().cycle().take(10) {
            assert_eq!(visit.receive(10, now), Ok(()));
        }
        assert_eq!(one.receive(10, now), Err(TooMuch::Frames(5)));
        let later = now + Duration::from_secs(2);
        assert_eq!(one.receive(1500, later), Ok(()));
        assert_eq!(two.receive(1500, later), Err(TooMuch::Bytes(1000)));
        let other = guests.enter(address("192.0.2.9"), false).unwrap();
        assert_eq!(other.receive(1500, later), Ok(()));
    }

    #[test]
    fn behind_a_proxy_each_address_has_limits_of_its_own() {
        let guests = Guests::new(LIMITS);
        let proxy = Arc::new(guests.enter(address("10.0.0.1"), true).unwrap());
        let one = address("192.0.2.1");
        let enter = || guests.behind_proxy(one, Arc::clone(&proxy));
        let (first, _second) = (enter().unwrap(), enter().unwrap());
        assert_eq!(enter().unwrap_err(), TooMuch::ConnectionsOfAddress(2));
        assert_eq!(guests.connections(), 1, "only the proxy is connected");
        let now = Instant::now();
        while first.receive(0, now).is_ok() {}
        assert_eq!(proxy.receive(1 << 30, now), Ok(()));
        drop(proxy);
        assert_eq!(
            guests.connections(),
            1,
            "sessions hold the proxy's connection"
        );
    }

    #[test]
    fn coming_again_does_not_refill() {
        let guests = Guests::new(LIMITS);
        let visit = guests.enter(address("192.0.2.1"), false).unwrap();
        let now = Instant::now();
        while visit.receive(0, now).is_ok() {}
        drop(visit);
        let again = guests.enter(address("192.0.2.1"), false).unwrap();
        assert_eq!(again.receive(0, now), Err(TooMuch::Frames(5)));
    }
}
