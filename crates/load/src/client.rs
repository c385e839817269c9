//! One client that sends frames at a fixed rate, whatever the server does.

use std::collections::VecDeque;
use std::sync::Arc;
use std::sync::atomic::{AtomicU64, Ordering};
use std::time::Duration;

use hdrhistogram::errors::CreationError;
use tokio::time::{Instant, sleep_until, timeout_at};
use wire::{HEADER_BYTES, Hello};

use crate::account::Account;
use crate::link::{Address, Event, Link, LinkError};

/// Between two attempts to connect: this, then twice as long, up to [`SLOWEST_RETRY`].
const FIRST_RETRY: Duration = Duration::from_millis(50);
const SLOWEST_RETRY: Duration = Duration::from_secs(1);

/// Frames to send and what introduces them. Encoded once, sent again and again: a run measures
/// the server and not the encoder.
#[derive(Debug, Clone)]
pub struct Reel {
    /// The hello of a device that encodes so.
    pub hello: Hello,
    /// The frames; the sequence number is written anew each time.
    pub frames: Vec<Vec<u8>>,
}

/// When frames fall due.
#[derive(Debug, Clone, Copy)]
pub struct Schedule {
    /// When the first falls due.
    pub first: Instant,
    /// From one to the next.
    pub every: Duration,
    /// When the last has fallen due.
    pub end: Instant,
    /// How long after the end answers are waited for.
    pub drain: Duration,
    /// Frames that fall due before this are sent but not counted.
    pub count_from: Instant,
}

/// Frames of all clients so far, to show progress by.
#[derive(Debug, Default)]
pub struct Progress {
    /// Answered.
    pub answered: AtomicU64,
    /// Refused, or cut off.
    pub failed: AtomicU64,
}

/// A frame on its way.
struct Sent {
    sequence: u32,
    due: Instant,
    bytes: u64,
}

/// A client at work.
struct Client<'a> {
    schedule: Schedule,
    reel: &'a Reel,
    progress: &'a Progress,
    account: Account,
    on_their_way: VecDeque<Sent>,
    /// Frames that fell due so far.
    due: u32,
    lost_link: Option<Instant>,
}

/// Runs a client to the end of its schedule and says what became of its frames. When its
/// connection ends it opens another, as a device does.
///
/// # Errors
///
/// See [`Account::new`].
pub async fn run(
    address: Address,
    reel: Arc<Reel>,
    schedule: Schedule,
    progress: Arc<Progress>,
) -> Result<Account, CreationError> {
    let mut client = Client {
        schedule,
        reel: &reel,
        progress: &progress,
        account: Account::new()?,
        on_their_way: VecDeque::new(),
        due: 0,
        lost_link: None,
    };
    let mut retry = FIRST_RETRY;
    let mut connected_before = false;
    while Instant::now() < schedule.end {
        match timeout_at(schedule.end, Link::open(&address, reel.hello.clone())).await {
            Ok(Ok(link)) => {
                retry = FIRST_RETRY;
                if connected_before {
                    client.account.reconnects += 1;
                }
                connected_before = true;
                client.skip_what_is_overdue();
                let Err(why) = client.drive(link).await else {
                    break;
                };
                client.link_ended(&why);
            }
            Ok(Err(why)) => {
                client.account.close(&kind(&why));
                sleep_until((Instant::now() + retry).min(schedule.end)).await;
                retry = (2 * retry).min(SLOWEST_RETRY);
            }
            Err(_) => break,
        }
    }
    client.skip_what_is_overdue();
    Ok(client.account)
}

impl Client<'_> {
    /// When frame number `n` falls due.
    fn due_at(&self, n: u32) -> Instant {
        self.schedule.first + self.schedule.every * n
    }

    fn counts(&self, due: Instant) -> bool {
        due >= self.schedule.count_from
    }

    /// Frames that fell due while there was no connection.
    fn skip_what_is_overdue(&mut self) {
        let now = Instant::now().min(self.schedule.end);
        while self.due_at(self.due) < now {
            if self.counts(self.due_at(self.due)) {
                self.account.due += 1;
                self.account.no_link += 1;
            }
            self.due += 1;
        }
    }

    /// Sends what falls due and takes what comes, until the end or until the connection ends.
    async fn drive(&mut self, mut link: Link) -> Result<(), LinkError> {
        let codec = link
            .welcome
            .codec(&self.reel.hello.codec)
            .map_or(0, |codec| codec.id);
        let last = self.schedule.end + self.schedule.drain;
        loop {
            let next = self.due_at(self.due);
            let sending = next < self.schedule.end;
            if !sending && self.on_their_way.is_empty() {
                break;
            }
            tokio::select! {
                biased;
                event = link.receiver.next() => self.take(event?)?,
                () = sleep_until(next), if sending => {
                    let frame = self.frame(codec, next);
                    link.sender.frame(frame).await?;
                }
                () = sleep_until(last) => {
                    let lost = self.on_their_way.drain(..);
                    let from = self.schedule.count_from;
                    self.account.unanswered += lost.filter(|sent| sent.due >= from).count() as u64;
                    break;
                }
            }
        }
        // Whether the farewell is answered is of no interest.
        let _ = link.sender.close().await;
        Ok(())
    }

    /// The next frame, counted as due and as on its way.
    fn frame(&mut self, codec: u8, due: Instant) -> Vec<u8> {
        let sequence = self.due;
        self.due += 1;
        let frames = &self.reel.frames;
        let mut frame = frames
            .get(sequence as usize % frames.len().max(1))
            .cloned()
            .unwrap_or_default();
        if let Some(header) = frame.first_chunk_mut::<HEADER_BYTES>() {
            header[2] = codec;
            header[4..8].copy_from_slice(&sequence.to_le_bytes());
        }
        if self.counts(due) {
            self.account.due += 1;
        }
        self.on_their_way.push_back(Sent {
            sequence,
            due,
            bytes: frame.len() as u64,
        });
        frame
    }

    fn take(&mut self, event: Event) -> Result<(), LinkError> {
        match event {
            Event::Result(result) => {
                self.progress.answered.fetch_add(1, Ordering::Relaxed);
                if let Some(since) = self.lost_link.take() {
                    let recovery = since.elapsed();
                    self.account.longest_recovery = self.account.longest_recovery.max(recovery);
                }
                if let Some(sent) = self.forget(result.sequence)
                    && self.counts(sent.due)
                {
                    self.account
                        .answer(sent.due.elapsed(), sent.bytes, result.batch);
                }
            }
            Event::Error(error) => {
                self.progress.failed.fetch_add(1, Ordering::Relaxed);
                let sent = error.sequence.and_then(|sequence| self.forget(sequence));
                if sent.is_some_and(|sent| self.counts(sent.due)) {
                    self.account.refuse(error.code.name());
                }
                if error.fatal {
                    return Err(LinkError::Refused(error));
                }
            }
        }
        Ok(())
    }

    fn forget(&mut self, sequence: u32) -> Option<Sent> {
        let at = self
            .on_their_way
            .iter()
            .position(|sent| sent.sequence == sequence)?;
        self.on_their_way.remove(at)
    }

    fn link_ended(&mut self, why: &LinkError) {
        self.account.close(&kind(why));
        let from = self.schedule.count_from;
        let cut_off = self.on_their_way.drain(..);
        self.account.cut_off += cut_off.filter(|sent| sent.due >= from).count() as u64;
        self.lost_link.get_or_insert_with(Instant::now);
    }
}

/// A reason to count by.
fn kind(why: &LinkError) -> String {
    match why {
        LinkError::Refused(error) => error.code.name().to_owned(),
        LinkError::Closed { code, .. } => format!("closed {code}"),
        LinkError::Connect { .. } => "no connection".to_owned(),
        LinkError::Socket(_) => "broken".to_owned(),
        LinkError::TimedOut => "timed out".to_owned(),
        LinkError::Address(_) | LinkError::Message(_) => "bad message".to_owned(),
        LinkError::Trust(_) => "no trust".to_owned(),
    }
}
