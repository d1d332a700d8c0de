//! Which limit leaves no room, and whether one may wait for it.

use std::time::{Duration, Instant};

use super::permit::Seat;
use super::queue::Line;
use super::refuse::Unmet;
use super::room::{Lack, Room};
use super::{Admission, LEVELS, Level};
use crate::class::Mode;
use crate::limit::Limit;
use crate::refusal::Reason;
use crate::tenant::Tenant;

/// One tenant may always run so many.
const TENANT_MIN: u32 = 2;

impl Admission {
    /// The narrowest limit in this mode that leaves no room.
    pub(super) fn lack(&self, line: Line, mode: Mode) -> Option<(Level, Lack)> {
        let restrained = self.lack_of_restraint(line, mode);
        let limited = LEVELS.into_iter().find_map(|level| {
            let room = self.room(line.seat, level).filter(|room| room.mode == mode)?;
            Some((level, room.lack(line.needs_connection)?))
        });
        let limited = restrained.or(limited);
        let capped = || self.lack_of_cap(line, mode);
        let limited = limited.or_else(capped).or_else(|| self.lack_of_limit(mode));
        limited.or_else(|| {
            let limit = self.connections.filter(|_| line.needs_connection)?;
            let measured = self.overall.connections;
            let is_out = mode == Mode::Enforce && measured >= limit;
            is_out.then_some((Level::Upstream, Lack { limit_name: "connections", limit, measured }))
        })
    }

    /// Whether its class, or its tenant within that, has taken as much of the room as it may.
    pub(super) fn lack_of_cap(&self, line: Line, mode: Mode) -> Option<(Level, Lack)> {
        let room = self.classes.room(line.seat.class);
        let tenant = self.caps_tenants(line.tenant);
        if room.mode != mode || room.limits.cap.is_none() && !tenant {
            return None;
        }
        let all = self.may_run()?;
        let share =
            |of: u32, percent: u8| (u64::from(of) * u64::from(percent)).div_ceil(100) as u32;
        let full = |level, limit: u32, measured| {
            (measured >= limit).then_some((level, Lack { limit_name: "cap", limit, measured }))
        };
        let own = room.limits.cap.map_or(all, |cap| share(all, cap).max(1));
        full(Level::Class, own, room.in_flight).filter(|_| room.limits.cap.is_some()).or_else(
            || {
                let runs = self.tenants[line.seat.class].in_flight(line.tenant);
                let is_alone = runs >= room.in_flight;
                let own = room.limits.in_flight.map_or(own, |limit| limit.min(own));
                let limit = share(own, self.tenant_cap).max(TENANT_MIN);
                full(Level::Tenant, limit, runs).filter(|_| tenant && !is_alone)
            },
        )
    }

    /// How many may run at once, if anything says so.
    fn may_run(&self) -> Option<u32> {
        let limit = self.limit.as_ref().filter(|limit| limit.mode() == Mode::Enforce);
        let set = self.overall.limits.in_flight.filter(|_| self.overall.mode == Mode::Enforce);
        [limit.map(Limit::value), set, self.connections].into_iter().flatten().min()
    }

    fn caps_tenants(&self, tenant: Tenant) -> bool {
        tenant != Tenant::NONE && self.tenant_cap < 100
    }

    /// Whether the adaptive limit, when it is in this mode, leaves no room.
    pub(super) fn lack_of_limit(&self, mode: Mode) -> Option<(Level, Lack)> {
        let limit = self.limit.as_ref().filter(|limit| limit.mode() == mode)?;
        let (limit, measured) = (limit.value(), self.overall.in_flight);
        let lack = Lack { limit_name: "max", limit, measured };
        (measured >= limit).then_some((Level::Adaptive, lack))
    }

    /// Whether one more may wait for a limit at this level.
    pub(super) fn may_wait(&self, seat: Seat, level: Level, lack: Lack) -> Result<(), Unmet> {
        if level == Level::Melt {
            self.may_wait_out(seat.class)?;
        }
        let has_queue = |level| self.room(seat, level).is_some_and(Room::has_queue);
        let has_own = !matches!(level, Level::Adaptive | Level::Tenant | Level::Melt);
        if !has_queue(Level::Class) || has_own && !has_queue(level) {
            return Err(Unmet {
                reason: if lack.limit_name == "connections" {
                    Reason::Connections
                } else {
                    Reason::InFlight
                },
                level,
                limit_name: lack.limit_name,
                limit: f64::from(lack.limit),
                measured: f64::from(lack.measured),
                at_least: Duration::ZERO,
            });
        }
        let full = |level: &Level| self.room(seat, *level).is_some_and(Room::queue_is_full);
        let Some(level) = LEVELS.into_iter().find(full) else { return Ok(()) };
        let (length, queued) =
            self.room(seat, level).map_or((0, 0), |room| (room.limits.queue_length, room.queued));
        Err(Unmet {
            reason: Reason::QueueFull,
            level,
            limit_name: "queue_length",
            limit: f64::from(length),
            measured: f64::from(queued),
            at_least: Duration::ZERO,
        })
    }

    /// The shortest queue time that is set, and where.
    pub(super) fn tightest(&self, seat: Seat) -> Option<(Level, Duration)> {
        LEVELS
            .into_iter()
            .filter_map(|level| Some((level, self.room(seat, level)?.limits.queue_time)))
            .filter(|(_, time)| *time > Duration::ZERO)
            .min_by_key(|(_, time)| *time)
    }

    /// Counts what would have happened where the mode is observe.
    pub(super) fn would(&mut self, line: Line) {
        let Some((level, lack)) = self.lack(line, Mode::Observe) else { return };
        let waits = self.may_wait(line.seat, level, lack).is_ok();
        let counts = &mut self.classes.room_mut(line.seat.class).counts;
        if waits {
            counts.would_wait += 1;
        } else {
            counts.would_shed += 1;
        }
    }

    /// Counts one against every rate; the first that is exceeded refuses.
    pub(super) fn check_rates(&mut self, now: Instant, seat: Seat) -> Result<(), Unmet> {
        for level in LEVELS {
            let Some(room) = self.room(seat, level) else { continue };
            let (Some(rate), Err(wait)) = (room.limits.rate, room.check_rate(now)) else {
                continue;
            };
            match room.mode {
                Mode::Off => {}
                Mode::Observe => self.classes.room_mut(seat.class).counts.would_shed += 1,
                Mode::Enforce => {
                    let limit = f64::from(rate.per_second.get());
                    return Err(Unmet {
                        reason: Reason::Rate,
                        level,
                        limit_name: "rate",
                        limit,
                        measured: f64::from(room.arrivals()),
                        at_least: wait,
                    });
                }
            }
        }
        Ok(())
    }
}
