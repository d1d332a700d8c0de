//! The tenants of one class: what they run, who waits, and whose turn it is.
//!
//! The turn is found as it is among classes ([`Shares`]), all with the same share.

use std::num::NonZeroU32;
use std::time::Duration;

use super::share::Shares;
use crate::tenant::{TENANTS, Tenant};

/// The tenants of one class; nothing is kept until one is named.
#[derive(Debug, Default)]
pub(super) struct Tenants {
    shares: Shares,
    members: Vec<Member>,
    /// How many tenants have somebody waiting.
    waiting: u32,
}

#[derive(Debug, Clone, Copy, Default)]
struct Member {
    in_flight: u32,
    queued: u32,
}

impl Tenants {
    /// Somebody asks.
    pub(super) fn meet(&mut self, tenant: Tenant) {
        if tenant != Tenant::NONE && self.members.is_empty() {
            self.members = vec![Member::default(); usize::from(TENANTS)];
            self.shares.set(usize::from(TENANTS) - 1, NonZeroU32::MIN);
        }
    }

    /// One of its transactions begins.
    pub(super) fn began(&mut self, tenant: Tenant) {
        if let Some(member) = self.members.get_mut(tenant.place()) {
            member.in_flight += 1;
            self.shares.charge(tenant.place());
        }
    }

    /// One of its transactions has ended, after so long; or was never begun.
    pub(super) fn ended(&mut self, tenant: Tenant, service: Option<Duration>) {
        if let Some(member) = self.members.get_mut(tenant.place()) {
            // What began before the first was named was not counted.
            member.in_flight = member.in_flight.saturating_sub(1);
            if let Some(service) = service {
                self.shares.learn(tenant.place(), service);
            }
        }
    }

    /// One of its tickets joins the line.
    pub(super) fn joined(&mut self, tenant: Tenant) {
        if let Some(member) = self.members.get_mut(tenant.place()) {
            member.queued += 1;
            self.waiting += u32::from(member.queued == 1);
        }
    }

    /// One of its tickets leaves the line.
    pub(super) fn left(&mut self, tenant: Tenant) {
        if let Some(member) = self.members.get_mut(tenant.place())
            && member.queued > 0
        {
            member.queued -= 1;
            self.waiting -= u32::from(member.queued == 0);
        }
    }

    /// Where its next transaction would start: the least goes first.
    pub(super) fn start(&self, tenant: Tenant) -> f64 {
        self.shares.start(tenant.place())
    }

    /// Its transactions in flight.
    pub(super) fn in_flight(&self, tenant: Tenant) -> u32 {
        self.members.get(tenant.place()).map_or(0, |member| member.in_flight)
    }

    /// How many go before one more of its tickets: each tenant that waits has as many turns meanwhile
    /// as it. `None` where no tenant is known.
    pub(super) fn ahead(&self, tenant: Tenant) -> Option<u32> {
        let member = self.members.get(tenant.place())?;
        let others = self.waiting - u32::from(member.queued > 0);
        Some(member.queued.saturating_add(others.saturating_mul(member.queued + 1)))
    }
}
