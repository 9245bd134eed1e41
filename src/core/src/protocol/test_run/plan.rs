//! The plan of the test: fetching and inspecting it.

use super::super::id::Digest;
use super::*;

impl TestRun {
    pub(super) fn plan_arrived(&mut self, now: Time, plan: Arc<[u8]>, fx: &mut Effects) {
        if self.plan.bytes.is_some() || Digest::of(&plan) != self.announcement.digest {
            return;
        }
        self.plan.bytes = Some(plan.clone());
        self.plan.next_fetch = Time::MAX;
        self.plan.inspecting = Some(now);
        fx.outputs.push(Output::Inspect {
            test: self.id(),
            submitted_here: self.submitted_here,
            plan,
        });
    }

    /// Uses these bytes if they are this test's plan.
    pub fn offer_plan(&mut self, now: Time, plan: &Arc<[u8]>, fx: &mut Effects) {
        if self.end.ended.is_none() {
            self.plan_arrived(now, plan.clone(), fx);
        }
    }

    /// The driver cannot use the plan. This node still votes.
    pub fn inspection_failed(&mut self, now: Time) {
        self.plan.inspecting = None;
        self.plan.inspected.get_or_insert(now);
    }

    /// The driver has inspected the plan: its specification, and the reason why this node cannot
    /// take part, if so.
    pub fn inspected(
        &mut self,
        now: Time,
        spec: TestSpec,
        unable: Option<String>,
        fx: &mut Effects,
    ) {
        if self.spec.is_some() || self.end.ended.is_some() {
            return;
        }
        self.plan.inspecting = None;
        self.plan.inspected = Some(now);
        let me = &self.local;
        let unable = unable.or_else(|| spec.exclusion(&me.task_types, &me.labels));
        let unable = unable.or_else(|| {
            self.draining
                .then(|| "is draining and takes no new share".to_owned())
        });
        // A node that cannot run the plan cannot run its hooks either.
        let yields_rank = unable.is_some() && spec.hook_limit() > Duration::ZERO;
        let mut worker = Worker::new(
            self.id(),
            self.local.clone(),
            spec.clone(),
            self.announcement.digest,
            unable,
            self.timings.clone(),
            fx,
        );
        if let Some((term, node)) = self.election.leader() {
            worker.follow(now, *term, &node.clone(), fx);
        }
        if let Some((stop, _)) = &self.stop.request {
            worker.stop_test(stop, fx);
        }
        worker.update_log(&self.observed.committed, fx);
        self.worker = Some(worker);
        self.spec = Some(spec);
        self.election.allow_leading();
        if yields_rank {
            self.election.yield_rank(now);
        }
    }

    pub(super) fn fetch_plan(&mut self, now: Time, fx: &mut Effects) {
        let mut sources = vec![&self.announcement.submitter];
        sources.extend(&self.announcement.electorate);
        sources.retain(|n| **n != self.local.node);
        self.plan.next_fetch = now + REPEAT;
        if sources.is_empty() {
            return;
        }
        let source = sources[self.plan.fetches % sources.len()].peer.clone();
        self.plan.fetches += 1;
        fx.send(
            &self.local.node,
            &source,
            Request::FetchPlan(self.announcement.digest),
        );
    }
}
