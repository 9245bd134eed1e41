//! What goes wrong.

use super::*;

impl World {
    pub(super) fn fault(&mut self, fault: Fault) {
        self.note(|| format!("fault: {fault:?}"));
        match fault {
            Fault::Crash(i) => {
                let host = &mut self.hosts[i];
                host.node = None;
                host.paused_until = 0;
                for other in (0..self.hosts.len()).filter(|o| *o != i) {
                    self.input(other, Input::Disconnected(World::name(i)));
                }
            }
            Fault::Restart(i) => {
                if self.hosts[i].node.is_none()
                    && self.hosts[i].incarnation > 0
                    && !self.hosts[i].left
                {
                    self.coverage.restarts += 1;
                    self.start(i);
                }
            }
            Fault::Pause(i, length) => self.pause(i, length),
            Fault::Partition {
                side,
                one_way,
                length,
            } => {
                self.coverage.partitions += 1;
                self.cuts.cut(side, one_way);
                self.push((self.now + length).min(HEALED), Event::Calm);
            }
            Fault::Storm(weather, length) => {
                self.weather = weather;
                self.push((self.now + length).min(HEALED), Event::Calm);
            }
            Fault::Leave(i) => {
                if self.hosts[i].node.is_some() && self.now >= self.hosts[i].paused_until {
                    let order = StopOrder {
                        graceful: false,
                        timeout: Duration::ZERO,
                    };
                    self.input(i, Input::Leave(order));
                    let host = &mut self.hosts[i];
                    host.engine.count(self.now, &host.clock);
                    host.node = None;
                    host.left = true;
                }
            }
            Fault::Stop { by, graceful } => {
                if self.hosts[by].test().is_some() {
                    self.stop_asked = true;
                    let order = StopOrder {
                        graceful,
                        timeout: if graceful { GRACE } else { Duration::ZERO },
                    };
                    self.input(by, Input::StopTest(TEST, order));
                }
            }
        }
    }

    pub(super) fn pause(&mut self, i: usize, length: TrueTime) {
        let host = &mut self.hosts[i];
        if host.node.is_none() {
            return;
        }
        self.coverage.pauses += 1;
        let until = (self.now + length).min(HEALED).max(host.paused_until);
        host.engine.count(self.now, &host.clock);
        host.engine.skip_to(until);
        host.paused_until = until;
    }

    pub(super) fn mend(&mut self) {
        self.note(|| "healing".into());
        self.cuts.heal();
        self.weather = Weather::CALM;
    }
}
