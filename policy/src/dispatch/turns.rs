//! Whose turn it is: tenants go round, one item each, and none has more under way than its cap.
//!
//! Fair queueing with one item as the quantum (Nagle 1987): one tenant with a million items delays
//! another's first by one. A tenant that is at its cap leaves the round and comes back when one of
//! its items has ended, so that a slow tenant never stands before the others. Within a tenant items
//! go in the order in which they came.

use std::collections::{HashMap, VecDeque};
use std::num::NonZeroU32;

/// Items that wait at most, of all tenants together. Who comes at the bound is refused and has to
/// keep its item.
pub const WAITING_MAX: usize = 100_000;

/// A tenant: a hash of its name, or anything else that tells tenants apart.
pub type Tenant = u64;

/// Those who wait, and how many of each tenant are under way.
#[derive(Debug)]
pub struct Turns<T> {
    cap: NonZeroU32,
    /// Only tenants of whom something waits or is under way.
    lines: HashMap<Tenant, Line<T>>,
    /// Tenants of whom something waits and who are below their cap, each once.
    round: VecDeque<Tenant>,
    waiting: usize,
}

#[derive(Debug)]
struct Line<T> {
    waiting: VecDeque<T>,
    in_flight: u32,
}

impl<T> Turns<T> {
    /// Nobody waits. At most `cap` of one tenant are under way at once.
    #[must_use]
    pub fn new(cap: NonZeroU32) -> Self {
        Self { cap, lines: HashMap::new(), round: VecDeque::new(), waiting: 0 }
    }

    /// Puts an item at the end of its tenant's line.
    ///
    /// # Errors
    /// At [`WAITING_MAX`]; the item comes back.
    pub fn push(&mut self, tenant: Tenant, item: T) -> Result<(), T> {
        if self.waiting == WAITING_MAX {
            return Err(item);
        }
        let line = self.lines.entry(tenant).or_default();
        if line.waiting.is_empty() && line.in_flight < self.cap.get() {
            self.round.push_back(tenant);
        }
        line.waiting.push_back(item);
        self.waiting += 1;
        Ok(())
    }

    /// The next one, which is under way from now on.
    pub fn pop(&mut self) -> Option<(Tenant, T)> {
        let tenant = self.round.pop_front()?;
        let line = self.lines.get_mut(&tenant).expect("who is in the round has a line");
        let item = line.waiting.pop_front().expect("who is in the round waits");
        line.in_flight += 1;
        self.waiting -= 1;
        if !line.waiting.is_empty() && line.in_flight < self.cap.get() {
            self.round.push_back(tenant);
        }
        Some((tenant, item))
    }

    /// One of the tenant's items is no longer under way. Of a tenant of whom none was, it is nothing.
    pub fn finish(&mut self, tenant: Tenant) {
        let Some(line) = self.lines.get_mut(&tenant) else { return };
        if line.in_flight == self.cap.get() && !line.waiting.is_empty() {
            self.round.push_back(tenant);
        }
        line.in_flight = line.in_flight.saturating_sub(1);
        if line.in_flight == 0 && line.waiting.is_empty() {
            self.lines.remove(&tenant);
        }
    }

    /// Everything that waits; nothing waits afterwards.
    pub fn drain(&mut self) -> Vec<T> {
        self.round.clear();
        self.waiting = 0;
        let drained = self.lines.values_mut().flat_map(|line| line.waiting.drain(..)).collect();
        self.lines.retain(|_, line| line.in_flight > 0);
        drained
    }

    /// How many wait.
    #[must_use]
    pub const fn waiting(&self) -> usize {
        self.waiting
    }

    /// Whether somebody waits who is below the cap.
    #[must_use]
    pub fn is_ready(&self) -> bool {
        !self.round.is_empty()
    }
}

impl<T> Default for Line<T> {
    fn default() -> Self {
        Self { waiting: VecDeque::new(), in_flight: 0 }
    }
}
