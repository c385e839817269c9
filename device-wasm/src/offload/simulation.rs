//! The decision maker on emulated links with made-up devices and servers: it must notice that the link has changed, and
//! must not be much worse than the best way that one could have fixed beforehand.

use aecnn::Split;
use aecnn::manifest::{CodecEntry, FileEntry, RateEntry};
use wire::{ClientMessage, Ping};

use super::{Candidate, Goal, LOOK_MS, Observation, Offload, of_codec, of_device, of_pictures};
use crate::link::{Lane, LinkSettings, Random};
use crate::way::{Format, Way};

/// Milliseconds: a step of the simulation, the time in which it must have switched, and after which it must have
/// settled.
const STEP: f64 = 1.0;
const SWITCH: f64 = 2_000.0;
const SETTLE: f64 = 1_000.0;
const PHASE: f64 = 25_000.0;
const ANSWER_BYTES: usize = 600;
const PONG_BYTES: usize = 24;
/// By how much a single run may be worse, and how much later it may switch: where frames are small, chance decides for a
/// while whether a new link looks like a shorter way or like a wider one.
const UNLUCKY: f64 = 1.25;
const UNLUCKY_SWITCH: f64 = 2.0 * SWITCH;
/// Of chance: the link's delays, and what work takes.
const SEEDS: [u64; 10] = [11, 23, 37, 41, 59, 97, 101, 103, 201, 205];

/// A device and a server. Milliseconds.
#[derive(Debug, Clone, Copy)]
struct World {
    name: &'static str,
    here_per_gmac: f64,
    server_per_gmac: f64,
    /// Whether the device has the whole network.
    whole: bool,
    /// Whether the network keeps the device's only thread, so that what comes meanwhile is seen later.
    blocks: bool,
}

const WORLDS: [World; 6] = [
    World {
        name: "a slow phone, a fast server",
        here_per_gmac: 60.0,
        server_per_gmac: 5.0,
        whole: false,
        blocks: true,
    },
    World {
        name: "a fast laptop, a busy server",
        here_per_gmac: 8.0,
        server_per_gmac: 40.0,
        whole: false,
        blocks: true,
    },
    World {
        name: "a fast laptop with the whole network",
        here_per_gmac: 20.0,
        server_per_gmac: 10.0,
        whole: true,
        blocks: true,
    },
    World {
        name: "the same on its graphics processor",
        here_per_gmac: 20.0,
        server_per_gmac: 10.0,
        whole: true,
        blocks: false,
    },
    World {
        name: "a slow laptop with the whole network",
        here_per_gmac: 50.0,
        server_per_gmac: 10.0,
        whole: true,
        blocks: true,
    },
    World {
        name: "both alike",
        here_per_gmac: 25.0,
        server_per_gmac: 25.0,
        whole: true,
        blocks: true,
    },
];

/// Kilobits a second and the round trip, one phase after the other.
const LINKS: [(f64, f64); 8] = [
    (20_000.0, 40.0),
    (250.0, 40.0),
    (5_000.0, 40.0),
    (100.0, 80.0),
    (1_000.0, 40.0),
    (50_000.0, 20.0),
    (250.0, 150.0),
    (1_000.0, 40.0),
];

/// Two codecs at stage 2: bytes and agreement of their rates. Not those of a model's manifest, so that a new codec
/// does not change what chance does here.
const CODECS: [(&str, [(f64, f64); 9]); 2] = [
    (
        "aecnn-stage2",
        [
            (480.0, 0.690),
            (626.0, 0.707),
            (823.0, 0.767),
            (1_069.0, 0.790),
            (1_367.0, 0.827),
            (1_665.0, 0.850),
            (2_064.0, 0.870),
            (2_759.0, 0.887),
            (4_149.0, 0.917),
        ],
    ),
    (
        "klt-stage2",
        [
            (474.0, 0.603),
            (618.0, 0.660),
            (810.0, 0.710),
            (1_053.0, 0.740),
            (1_347.0, 0.770),
            (1_640.0, 0.800),
            (2_032.0, 0.843),
            (2_719.0, 0.860),
            (4_105.0, 0.863),
        ],
    ),
];

fn codec(name: &str, rates: &[(f64, f64)]) -> CodecEntry {
    CodecEntry {
        name: name.to_owned(),
        method: "klt".to_owned(),
        split: Split::Stage2,
        file: FileEntry::of("codec.safetensors", b""),
        device: None,
        rates: (rates.iter())
            .map(|(mean_bytes, agreement)| RateEntry {
                name: String::new(),
                channels: 1,
                mean_bytes: *mean_bytes,
                agreement: *agreement,
            })
            .collect(),
        default_rate: 0,
    }
}

const GMAC: [f64; 5] = [0.12, 0.79, 1.8, 3.3, 4.1];

fn link((kbps, rtt_ms): (f64, f64)) -> LinkSettings {
    LinkSettings {
        kbps,
        rtt_ms,
        jitter_ms: 4.0,
        loss: 0.0,
    }
}

impl World {
    /// Time here, of it the network's; time on the server, of it the network's.
    fn costs(&self, candidate: &Candidate) -> [f64; 4] {
        let front = match (&candidate.way, candidate.split) {
            (Way::Device, _) => GMAC[4],
            (_, Some(split)) => GMAC[split.stages()],
            (_, None) => 0.0,
        };
        let network = front * self.here_per_gmac;
        let compress = match candidate.way {
            Way::Features { .. } => 4.0,
            Way::Picture {
                format: Format::Jpeg,
                ..
            } => 1.5,
            Way::Picture {
                format: Format::WebP,
                ..
            } => 9.0,
            _ => 0.2,
        };
        let tail = (GMAC[4] - front) * self.server_per_gmac;
        match candidate.way {
            Way::Device => [3.0 + network, network, 0.0, 0.0],
            _ => [3.0 + network + compress, network, 2.0 + tail, tail],
        }
    }

    /// Time to label over a link, without its jitter.
    fn ideal(&self, candidate: &Candidate, link: LinkSettings) -> f64 {
        let [here, _, server, _] = self.costs(candidate);
        if candidate.way == Way::Device {
            return here;
        }
        here + server + link.rtt_ms + link.ms_for(candidate.bytes + ANSWER_BYTES as f64)
    }

    fn candidates(&self) -> Vec<Candidate> {
        let mut all: Vec<Candidate> = (CODECS.iter().map(|(name, rates)| codec(name, rates)))
            .flat_map(|codec| of_codec(&codec).collect::<Vec<_>>())
            .chain(of_pictures(1 << 20))
            .collect();
        if self.whole {
            all.push(of_device());
        }
        all
    }
}

/// What a run saw.
#[derive(Debug, Default)]
struct Run {
    /// When each frame began, and how long it took.
    frames: Vec<(f64, f64)>,
    /// When a decision was made, and for what.
    decisions: Vec<(f64, Way)>,
}

impl Run {
    /// What was chosen when a phase began.
    fn before(&self, start: f64) -> Option<&Way> {
        let last = self.decisions.iter().rfind(|(at, _)| *at < start);
        last.map(|(_, way)| way)
    }

    /// Mean time to label of the frames that began in a stretch.
    fn mean(&self, from: f64, to: f64) -> f64 {
        let times: Vec<f64> = (self.frames.iter())
            .filter(|(began, _)| (from..to).contains(began))
            .map(|(_, ms)| *ms)
            .collect();
        times.iter().sum::<f64>() / times.len() as f64
    }
}

/// Where the one frame is.
enum Place {
    Nowhere,
    Here {
        until: f64,
        began: f64,
        way: usize,
    },
    Up {
        began: f64,
        sent: f64,
        way: usize,
        bytes: usize,
    },
    Server {
        until: f64,
        began: f64,
        sent: f64,
        way: usize,
        bytes: usize,
    },
    Down {
        began: f64,
        sent: f64,
        way: usize,
        bytes: usize,
        server: f64,
    },
}

/// What travels over the link.
#[derive(Debug, Clone, Copy, PartialEq)]
enum Message {
    Frame,
    Ping(u32),
}

/// The device's only thread.
#[derive(Debug, Default)]
struct Thread {
    /// When it last looked what has come, and the moments, the last first, at which it does so next; none: at any time.
    since: f64,
    looks: Vec<f64>,
}

impl Thread {
    /// The whole network from `now` on for `ms`: it looks up between its stages.
    fn work(&mut self, now: f64, ms: f64) {
        self.since = now;
        self.looks = (GMAC.iter().rev())
            .map(|gmac| now + ms * gmac / GMAC[4])
            .collect();
    }

    /// For how long it had not looked what has come; `None` while it does not.
    fn unseen(&mut self, now: f64) -> Option<f64> {
        match self.looks.last() {
            None => Some(0.0),
            Some(look) if now < *look => None,
            Some(_) => {
                self.looks.pop();
                Some(now - std::mem::replace(&mut self.since, now))
            }
        }
    }
}

/// Runs frame after frame over all phases, by the goal or in one fixed way.
fn run(world: World, goal: Option<Goal>, fixed: Option<&Way>, seed: u64) -> Run {
    let candidates = world.candidates();
    let mut offload = Offload::default();
    offload.set_candidates(candidates.clone());
    offload.set_goal(goal);
    offload.set_pings(true);
    let mut random = Random::new(seed);
    let mut up = Lane::new(link(LINKS[0]), seed + 10);
    let mut down = Lane::new(link(LINKS[0]), seed + 11);
    let mut thread = Thread::default();
    let mut seen = Run::default();
    let mut place = Place::Nowhere;
    let mut phase = 0;
    let (mut now, mut looked) = (0.0, 0.0);
    let index = |way: &Way| candidates.iter().position(|c| c.way == *way).unwrap();
    // Up to a tenth more or less.
    let mut vary = |value: f64| value * (0.9 + 0.2 * random.unit());
    while now < PHASE * LINKS.len() as f64 {
        if now >= PHASE * (phase + 1) as f64 {
            phase += 1;
            up.change(now, link(LINKS[phase]));
            down.change(now, link(LINKS[phase]));
        }
        let (mut frame_up, mut frame_down) = (false, false);
        while let Some(message) = up.arrived(now) {
            match message {
                Message::Frame => frame_up = true,
                // The server answers at once.
                Message::Ping(_) => {
                    down.send(now, PONG_BYTES, message);
                }
            }
        }
        if let Some(unseen) = thread.unseen(now) {
            while let Some(message) = down.arrived(now) {
                match message {
                    Message::Frame => frame_down = true,
                    Message::Ping(id) => offload.ponged(now, id, PONG_BYTES as f64, unseen),
                }
            }
            if goal.is_some() && now - looked >= LOOK_MS {
                looked = now;
                offload.wait(now, unseen);
                let decision = offload.decide().unwrap();
                seen.decisions.push((now, decision.way));
            }
        }
        place = match place {
            Place::Nowhere => {
                let way = if let Some(way) = fixed {
                    index(way)
                } else {
                    let decision = offload.decide().unwrap();
                    seen.decisions.push((now, decision.way.clone()));
                    index(&offload.next_way(now, &decision))
                };
                let [here, ..] = world.costs(&candidates[way]);
                let here = vary(here);
                if candidates[way].way == Way::Device && world.blocks {
                    thread.work(now, here);
                }
                Place::Here {
                    until: now + here,
                    began: now,
                    way,
                }
            }
            Place::Here { until, began, way } if now >= until => {
                if candidates[way].way == Way::Device {
                    seen.frames.push((began, now - began));
                    let [_, network, ..] = world.costs(&candidates[way]);
                    let frame =
                        observation(&candidates[way], [now - began, network, 0.0, 0.0], 0, 0);
                    offload.observe(now, &frame, None);
                    if let Some(ping) = offload.ping(now) {
                        let Ok(ClientMessage::Ping(Ping { id, .. })) = ClientMessage::parse(&ping)
                        else {
                            panic!("no ping: {ping}")
                        };
                        up.send(now, ping.len(), Message::Ping(id));
                    }
                    Place::Nowhere
                } else {
                    let bytes = vary(candidates[way].bytes) as usize;
                    up.send(now, bytes, Message::Frame);
                    offload.sent(now, &candidates[way].way, bytes as f64);
                    Place::Up {
                        began,
                        sent: now,
                        way,
                        bytes,
                    }
                }
            }
            Place::Up {
                began,
                sent,
                way,
                bytes,
            } if frame_up => {
                let [_, _, server, _] = world.costs(&candidates[way]);
                Place::Server {
                    until: now + vary(server),
                    began,
                    sent,
                    way,
                    bytes,
                }
            }
            Place::Server {
                until,
                began,
                sent,
                way,
                bytes,
            } if now >= until => {
                down.send(now, ANSWER_BYTES, Message::Frame);
                let [_, _, server, _] = world.costs(&candidates[way]);
                Place::Down {
                    began,
                    sent,
                    way,
                    bytes,
                    server,
                }
            }
            Place::Down {
                began,
                sent,
                way,
                bytes,
                server,
            } if frame_down => {
                seen.frames.push((began, now - began));
                let [_, network, _, tail] = world.costs(&candidates[way]);
                let frame = observation(
                    &candidates[way],
                    [sent - began, network, server, tail],
                    bytes,
                    ANSWER_BYTES,
                );
                offload.observe(now, &frame, Some((now - sent - server).max(0.0)));
                Place::Nowhere
            }
            other => other,
        };
        now += STEP;
    }
    seen
}

fn observation(
    candidate: &Candidate,
    [here, network, server, tail]: [f64; 4],
    up: usize,
    down: usize,
) -> Observation {
    Observation {
        way: candidate.way.clone(),
        split: candidate.split,
        here_ms: here,
        network_here_ms: network,
        server_ms: server,
        tail_ms: tail,
        up_bytes: up as f64,
        down_bytes: down as f64,
    }
}

fn phases() -> impl Iterator<Item = (LinkSettings, f64, f64)> {
    LINKS.into_iter().enumerate().map(|(phase, dial)| {
        let start = PHASE * phase as f64;
        (link(dial), start, start + PHASE)
    })
}

#[test]
fn automatic_is_at_most_a_tenth_worse_than_the_best_fixed_way() {
    let mut complaints = Vec::new();
    for world in WORLDS {
        for floor in [0.65, 0.84, 0.9] {
            let allowed: Vec<Candidate> = (world.candidates().into_iter())
                .filter(|candidate| candidate.agreement >= floor)
                .collect();
            // The fixed ways that are best in some phase; the others cannot be the best.
            let mut best: Vec<&Way> = phases()
                .filter_map(|(link, ..)| {
                    (allowed.iter())
                        .min_by(|a, b| world.ideal(a, link).total_cmp(&world.ideal(b, link)))
                })
                .map(|candidate| &candidate.way)
                .collect();
            best.dedup();
            // Of automatic and of the best fixed way, for each phase and seed.
            let mut times = vec![Vec::new(); LINKS.len()];
            for seed in SEEDS {
                let automatic = run(world, Some(Goal::Latency { floor }), None, seed);
                let fixed: Vec<Run> = (best.iter())
                    .map(|way| run(world, None, Some(way), seed))
                    .collect();
                for (times, (_, start, end)) in times.iter_mut().zip(phases()) {
                    let from = start + SWITCH + SETTLE;
                    let to = end - 1_000.0;
                    let least = (fixed.iter())
                        .map(|run| run.mean(from, to))
                        .fold(f64::INFINITY, f64::min);
                    times.push((automatic.mean(from, to), least));
                }
            }
            for (phase, times) in times.iter().enumerate() {
                let sum = |of: fn(&(f64, f64)) -> f64| times.iter().map(of).sum::<f64>();
                let ratio = sum(|(got, _)| *got) / sum(|(_, least)| *least);
                let unlucky = (times.iter().zip(SEEDS))
                    .find(|((got, least), _)| *got > UNLUCKY * least)
                    .map(|(times, seed)| (seed, times));
                if ratio > 1.1 || unlucky.is_some() {
                    complaints.push(format!(
                        "{}, floor {floor}, phase {phase}: {ratio:.2} of the best fixed way, {unlucky:?}",
                        world.name
                    ));
                }
            }
        }
    }
    assert!(complaints.is_empty(), "{complaints:#?}");
}

#[test]
fn automatic_switches_within_two_seconds() {
    let floor = 0.84;
    let mut complaints = Vec::new();
    let mut switches = 0;
    for world in WORLDS {
        // For each phase, when those runs had switched that had to.
        let mut times = vec![Vec::new(); LINKS.len()];
        for seed in SEEDS {
            let seen = run(world, Some(Goal::Latency { floor }), None, seed);
            let candidates = world.candidates();
            for (times, (link, start, _)) in times.iter_mut().zip(phases()).skip(1) {
                let ideal = |way: &Way| {
                    (candidates.iter().find(|c| c.way == *way))
                        .map_or(f64::INFINITY, |c| world.ideal(c, link))
                };
                let least = (candidates.iter())
                    .filter(|candidate| candidate.agreement >= floor)
                    .map(|candidate| world.ideal(candidate, link))
                    .fold(f64::INFINITY, f64::min);
                if seen
                    .before(start)
                    .is_some_and(|way| ideal(way) <= 1.1 * least)
                {
                    continue;
                }
                switches += 1;
                let switched = (seen.decisions.iter())
                    .filter(|(at, _)| *at >= start)
                    .find(|(_, way)| ideal(way) <= 1.1 * least)
                    .map_or(PHASE, |(at, _)| at - start);
                times.push(switched);
            }
        }
        for (phase, times) in times.iter().enumerate() {
            let late = times.iter().filter(|ms| **ms > SWITCH).count();
            let latest = times.iter().copied().fold(0.0, f64::max);
            if 10 * late > times.len() || latest > UNLUCKY_SWITCH {
                complaints.push(format!("{}, phase {phase}: {times:?}", world.name));
            }
        }
    }
    assert!(
        switches >= 12 * SEEDS.len(),
        "the links are meant to make it switch: {switches}"
    );
    assert!(complaints.is_empty(), "{complaints:#?}");
}

#[test]
fn a_choice_does_not_flutter_on_a_steady_link() {
    for world in WORLDS {
        for seed in SEEDS {
            let seen = run(world, Some(Goal::Latency { floor: 0.84 }), None, seed);
            for (link, start, end) in phases() {
                let settled: Vec<&Way> = (seen.decisions.iter())
                    .filter(|(at, _)| (start + SWITCH + SETTLE..end).contains(at))
                    .map(|(_, way)| way)
                    .collect();
                let changes = settled.windows(2).filter(|pair| pair[0] != pair[1]).count();
                assert!(
                    changes <= 4,
                    "{}, seed {seed}, {} kbit/s: {changes} changes",
                    world.name,
                    link.kbps
                );
            }
        }
    }
}

#[test]
fn within_a_deadline_the_accuracy_is_the_highest_that_fits() {
    let deadline_ms = 200.0;
    for world in WORLDS {
        for seed in SEEDS {
            let seen = run(world, Some(Goal::Accuracy { deadline_ms }), None, seed);
            let candidates = world.candidates();
            for (link, start, end) in phases() {
                let fitting = (candidates.iter())
                    .filter(|candidate| world.ideal(candidate, link) <= 0.85 * deadline_ms)
                    .map(|candidate| candidate.agreement)
                    .fold(f64::NEG_INFINITY, f64::max);
                let Some((_, last)) = seen.decisions.iter().rfind(|(at, _)| *at < end - 1.0) else {
                    panic!("no decision")
                };
                let chosen = candidates
                    .iter()
                    .find(|candidate| candidate.way == *last)
                    .unwrap();
                assert!(
                    chosen.agreement >= fitting,
                    "{}, seed {seed}, {} kbit/s: {} of {fitting} after {start}",
                    world.name,
                    link.kbps,
                    chosen.way
                );
                if fitting.is_finite() {
                    let mean = seen.mean(start + SWITCH + SETTLE, end);
                    assert!(
                        mean <= 1.1 * deadline_ms,
                        "{}, seed {seed}, {} kbit/s: {mean:.0} ms",
                        world.name,
                        link.kbps
                    );
                }
            }
        }
    }
}
