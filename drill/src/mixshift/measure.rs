//! One way, measured.

use std::sync::Arc;
use std::time::{Duration, Instant};

use super::{Mix, Phase, Run, Scene, Try, Way};
use crate::error::Error;
use crate::guard::Guard;
use crate::load::pages::Pages;
use crate::load::rows::Rows;
use crate::load::{Crowd, Fault, Peer, Rates, Target, Timeline, Transaction, back, rate, whole_ms};
use crate::server::Server;
use crate::watch::limit::{Moment, watch_limit};
use crate::watch::quiet;

/// How long the application works between two reads.
const WORK: Duration = Duration::from_millis(5);
/// Connections of the guards: their own default; that of drills is smaller.
const CONNECTIONS: u32 = 32;
/// Time of a trial that is not counted.
const WARM: Duration = Duration::from_secs(1);
/// How long what is left of a crowd may keep the server busy before that is restarted.
const QUIET: Duration = Duration::from_secs(5);
/// A phase has settled with this share of the goodput of its second half: few hundred a second vary by
/// more than a twentieth.
const SETTLED: f64 = 0.9;

/// The server, and the scene.
#[derive(Debug)]
pub(super) struct Bench {
    pub(super) server: Server,
    pub(super) scene: Scene,
}

impl Bench {
    /// One fixed limit with one mix.
    pub(super) async fn try_limit(&mut self, mix: Mix, limit: u32) -> Result<Try, Error> {
        let guard = self.guard(Way::Fixed(limit)).await?;
        let end = WARM + self.scene.trial;
        let (timeline, _) = self.crowd(guard.as_ref(), vec![mix], end).await?;
        let rates = Rates::of(&timeline, WARM, end);
        Ok(Try { mix, limit, good_per_second: rates.good_per_second })
    }

    /// All mixes, one way.
    pub(super) async fn run(&mut self, way: Way) -> Result<Run, Error> {
        let guard = self.guard(way).await?;
        let phase = self.scene.phase;
        let (timeline, limits) = self.crowd(guard.as_ref(), Mix::ORDER.into(), phase).await?;
        let served = timeline.sum(0..usize::MAX).served;
        let served: Vec<Duration> = served.iter().map(|served| served.at).collect();
        let begins = (0..).map(|number| phase * number);
        let phases = Mix::ORDER.into_iter().zip(begins).map(|(mix, begin)| {
            let stretch = Stretch { mix, begin, end: begin + phase };
            let rates = Rates::of(&timeline, stretch.half(), stretch.end);
            stretch.measured(rates, &served, &limits)
        });
        let phases: Vec<Phase> = phases.collect();
        let good_by_second = timeline.good_by_second(phase * Mix::ORDER.len() as u32);
        Ok(Run { way, phases, limits, good_by_second })
    }

    async fn guard(&self, way: Way) -> Result<Option<Guard>, Error> {
        let sections = match way {
            Way::Direct => return Ok(None),
            Way::Fixed(limit) => format!("[overall]\nin_flight = {limit}\n"),
            Way::Adaptive => "[limit]\nmode = \"enforce\"\n".to_owned(),
        };
        Guard::of_drill(&self.server, CONNECTIONS, &sections).await.map(Some)
    }

    /// Lets a crowd go through mixes, each for so long. What is left of it is over afterwards.
    async fn crowd(
        &mut self,
        guard: Option<&Guard>,
        mixes: Vec<Mix>,
        phase: Duration,
    ) -> Result<(Arc<Timeline>, Vec<Moment>), Error> {
        let engine = self.server.engine();
        let target =
            guard.map_or_else(|| Target::of(&self.server), |guard| Target::behind(guard, engine));
        let duration = phase * u32::try_from(mixes.len()).unwrap_or(1);
        let timeline = Arc::new(Timeline::new());
        let shifting = Shifting { mixes, phase, began: Instant::now() };
        let crowd = Crowd::impatient(target, self.scene.clients, duration);
        let mut limits = Vec::new();
        tokio::select! {
            () = crowd.run(Arc::new(shifting), Arc::clone(&timeline)) => {}
            failed = watch_limit(guard, &mut limits) => return Err(failed),
        }
        quiet(&mut self.server, QUIET).await?;
        Ok((timeline, limits))
    }
}

/// Mixes that follow each other.
#[derive(Debug)]
struct Shifting {
    mixes: Vec<Mix>,
    phase: Duration,
    began: Instant,
}

impl Transaction for Shifting {
    async fn run(&self, peer: &mut Peer, number: u64) -> Result<(), Fault> {
        let at = self.began.elapsed().as_millis() / self.phase.as_millis().max(1);
        let at = usize::try_from(at).unwrap_or(usize::MAX);
        match self.mixes.get(at).or(self.mixes.last()) {
            Some(Mix::Updates) => Rows.run(peer, number).await,
            Some(Mix::Reads) | None => Pages { work: WORK }.run(peer, number).await,
        }
    }
}

/// The time of one mix.
#[derive(Debug, Clone, Copy)]
struct Stretch {
    mix: Mix,
    begin: Duration,
    end: Duration,
}

impl Stretch {
    /// Where its second half begins: at a whole second, as a timeline counts.
    fn half(self) -> Duration {
        self.begin + Duration::from_secs((self.end - self.begin).as_secs() / 2)
    }

    /// `rates` are those of its second half.
    fn measured(self, rates: Rates, served: &[Duration], limits: &[Moment]) -> Phase {
        let Self { mix, begin, end } = self;
        let settle = back(served, begin, end, SETTLED * rates.good_per_second);
        let half = whole_ms(self.half())..whole_ms(end);
        let late = limits.iter().filter(|moment| half.contains(&moment.at_ms));
        let late: Vec<f64> = late.map(|moment| moment.limit.into()).collect();
        Phase {
            mix,
            good_per_second: rate(served, begin, end),
            settled_per_second: rates.good_per_second,
            settle_ms: settle.map(whole_ms),
            p50_ms: rates.p50_ms,
            p99_ms: rates.p99_ms,
            deadlocks_per_second: rates.aborted_per_second,
            timed_out_per_second: rates.timed_out_per_second,
            limit: (!late.is_empty()).then(|| late.iter().sum::<f64>() / late.len() as f64),
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_phase_has_settled_with_the_first_second_that_is_as_its_second_half() {
        let at = Duration::from_millis;
        // Ten a second, then nothing for two seconds, then twenty a second.
        let steps = (0..4000).step_by(100).chain((6000..12_000).step_by(50));
        let served: Vec<Duration> = steps.map(at).collect();
        let limit = |at_ms, limit| Moment { at_ms, limit, elasticity: None, cuts: 0 };
        let limits = [limit(5000, 30), limit(9000, 4), limit(10_000, 2)];
        let stretch = Stretch { mix: Mix::Updates, begin: at(4000), end: at(12_000) };
        let rates = Rates { good_per_second: 20.0, ..Rates::default() };
        let phase = stretch.measured(rates, &served, &limits);
        assert_eq!((phase.settled_per_second, phase.good_per_second), (20.0, 15.0));
        assert_eq!((phase.settle_ms, phase.limit), (Some(1900), Some(3.0)));
    }
}
