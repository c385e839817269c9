//! The emulated link: holds messages back in both directions for as long as it says.

use crate::clock::now_ms;
use crate::link::{Lane, LinkSettings};

use super::socket::Up;
use super::timer::Timer;

/// Timers of browsers are not finer; what is due within it goes at once.
const GRAIN_MS: f64 = 0.5;
/// One for each direction, so that their delays differ.
const SEEDS: [u64; 2] = [0x5eed_0001, 0x5eed_0002];

/// Both directions of an emulated link.
pub(super) struct Shaper {
    up: Lane<Up>,
    down: Lane<Received>,
    timer: Option<Timer>,
    /// By how much what was last handed over was late, because the thread was busy: its answer is on the link as much earlier.
    late_ms: f64,
}

/// A text that came from the server.
pub(super) struct Received {
    pub(super) text: String,
    /// When it was there.
    pub(super) at: f64,
    /// For how long before that it may have been there.
    pub(super) unseen_ms: f64,
}

/// What has come through.
#[derive(Default)]
pub(super) struct Through {
    pub(super) up: Vec<Up>,
    pub(super) down: Vec<Received>,
}

impl Shaper {
    pub(super) fn new(settings: LinkSettings) -> Self {
        let [up, down] = SEEDS;
        Self {
            up: Lane::new(settings, up),
            down: Lane::new(settings, down),
            timer: None,
            late_ms: 0.0,
        }
    }

    pub(super) fn change(&mut self, settings: LinkSettings) {
        let now = now_ms();
        self.up.change(now, settings);
        self.down.change(now, settings);
    }

    pub(super) fn send(&mut self, up: Up) {
        self.up.send(now_ms(), up.bytes(), up);
    }

    pub(super) fn receive(&mut self, received: Received) {
        let at = received.at - std::mem::take(&mut self.late_ms);
        self.down.send(at, received.text.len(), received);
    }

    /// What has come through by now.
    pub(super) fn through(&mut self) -> Through {
        let now = now_ms() + GRAIN_MS;
        let mut through = Through::default();
        while let (Some(at), Some(up)) = (self.up.next_arrival(), self.up.arrived(now)) {
            self.late_ms = (now - GRAIN_MS - at).max(0.0);
            through.up.push(up);
        }
        while let (Some(at), Some(received)) = (self.down.next_arrival(), self.down.arrived(now)) {
            through.down.push(Received { at, ..received });
        }
        through
    }

    /// Everything that is on its way: the link ends.
    pub(super) fn rest(&mut self) -> Through {
        Through {
            up: self.up.drain().collect(),
            down: self.down.drain().collect(),
        }
    }

    /// Calls `then` when the next message comes through.
    pub(super) fn arm(&mut self, then: impl FnMut() + 'static) {
        let next = [self.up.next_arrival(), self.down.next_arrival()]
            .into_iter()
            .flatten()
            .reduce(f64::min);
        self.timer = next.and_then(|at| Timer::start((at - now_ms()).max(0.0), then));
    }
}
