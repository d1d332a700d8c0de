//! Parting with a clean connection after a transaction, and coming back to it.
//!
//! ```text
//!              question likely, nobody waits for long          the next statement asks
//!   release ──► lingers on hold ─────────────────────────────► runs on it
//!      │             │ another statement, or others wait
//!      │             ▼
//!      ├────────► lingers ──► the session's next statement, or whoever needs a connection
//!      │             │ time is over
//!      ▼             ▼
//!     pool ◄─────────┘
//! ```

use super::{Session, look_back, task::Task};
use crate::{
    gate::{self, Permit, Pinned},
    mysql::Lease,
};

impl Session {
    /// Lets the connection linger for the session's next statement, or gives it back at once. The
    /// database has confirmed that no transaction is open, and nothing pins the session.
    pub(super) async fn part(&mut self) {
        let Some(mut lease) = self.lease.take() else { return };
        lease.relabel(&self.settings);
        if let Some(place) = self.hold() {
            // `LAST_INSERT_ID()` is not read yet, nor is asked for what is untold: that would change
            // what is held.
            return self.upstream().lingering.put(&self.slot, lease, Some(place));
        }
        if lease.untold_of.is_none() {
            self.let_linger(lease).await;
        } else if let Some((lease, _)) = self.hear(lease, None).await {
            self.let_linger(lease).await;
        }
    }

    /// Asks for what a connection has not told. Returns it with its place if the session can part
    /// with it; keeps it, pinned, if not.
    async fn hear(
        &mut self,
        lease: Lease,
        place: Option<Pinned>,
    ) -> Option<(Lease, Option<Pinned>)> {
        self.lease = Some(lease);
        if self.hear_untold().await.is_err() {
            drop(self.lease.take().map(Lease::detach));
            return None;
        }
        if self.pins.is_empty() {
            return self.lease.take().map(|lease| (lease, place));
        }
        self.pinned = place;
        None
    }

    /// The connection's place at the gate, where it should be kept for a question.
    fn hold(&mut self) -> Option<Pinned> {
        if !self.look_back.is_likely() {
            return None;
        }
        let oldest = self.gate().oldest_wait();
        if oldest.is_some_and(|since| self.now.saturating_duration_since(since) >= gate::PATIENCE) {
            return None;
        }
        self.pinned.take().or_else(|| self.permit.as_mut().and_then(Permit::pin))
    }

    /// Leaves a connection that is not on hold where others may take it.
    async fn let_linger(&mut self, mut lease: Lease) {
        if look_back::save(&mut self.look_back, &mut lease, &self.pool).await.is_err() {
            drop(lease.detach());
            return;
        }
        let linger = self.shared.options.linger;
        if linger.is_zero() {
            lease.give_back();
        } else {
            self.look_back.linger(self.now + linger);
            self.upstream().lingering.put(&self.slot, lease, None);
        }
    }

    /// Takes a connection on hold back for the question that it was held for, or for a statement that
    /// leaves what may be asked as it is. Before any other statement the hold ends: the session asks
    /// the gate as everybody does. One that is never silent would else keep its connection from
    /// others for good.
    pub(super) async fn use_hold(&mut self, task: &Task) {
        // Without a likely question nothing was held.
        if self.lease.is_some() || !self.look_back.is_likely() {
            return;
        }
        let Some((lease, place)) = self.upstream().lingering.take_held(&self.slot) else {
            return;
        };
        if self.look_back.needs_held(&task.shape, &self.pool.memory.habits) {
            self.lease = Some(lease);
            self.pinned = place;
        } else if let Some((lease, _)) = self.hear(lease, place).await {
            self.let_linger(lease).await;
        }
    }

    /// Puts a connection back on hold after a question that the gate did not let in.
    pub(super) fn resume_hold(&mut self) {
        if self.pins.is_empty()
            && let Some(lease) = self.lease.take()
        {
            let place = self.pinned.take();
            self.upstream().lingering.put(&self.slot, lease, place);
        }
    }

    /// Takes the lingering connection back, if nobody else has and the server has not closed it.
    pub(super) fn resume(&mut self) {
        if self.lease.is_none() {
            // A connection on hold was taken before the gate: this one has no place to bring.
            let taken = self.upstream().lingering.take(&self.slot);
            self.lease = taken.map(|(lease, _)| lease).filter(|lease| !lease.is_disturbed());
        }
    }

    /// Gives the connection back that has lingered for long enough.
    pub(super) async fn end_linger(&mut self) {
        self.look_back.forget();
        let Some((lease, place)) = self.upstream().lingering.take(&self.slot) else { return };
        if let Some((mut lease, place)) = self.hear(lease, place).await {
            if look_back::save(&mut self.look_back, &mut lease, &self.pool).await.is_ok() {
                lease.give_back();
            } else {
                drop(lease.detach());
            }
            drop(place);
        }
    }

    /// Gives a lingering connection back: nobody will ask about its last statement.
    pub(super) fn leave_slot(&mut self) {
        if let Some((lease, place)) = self.upstream().lingering.take(&self.slot) {
            lease.give_back();
            drop(place);
        }
    }
}
