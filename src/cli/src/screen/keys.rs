//! Keys and their actions.

use crossterm::event::{Event, KeyCode, KeyEventKind, KeyModifiers};

/// Action of a key.
#[derive(Clone, Copy, PartialEq, Eq, Debug)]
pub enum Action {
    /// Stop or leave. Includes Ctrl-C, which is a key in raw mode.
    End,
    /// Pause the load.
    Pause,
    /// Resume the load.
    Resume,
    /// Change the span of the charts.
    Zoom,
    /// Show or hide the help.
    Help,
    /// Redraw the screen, after a change of size or output of another program.
    Redraw,
    /// Suspend the process. Includes Ctrl-Z, which is a key in raw mode.
    Suspend,
}

/// The action of a terminal event; `help` is whether the help is shown.
pub fn action(event: &Event, help: bool) -> Option<Action> {
    let key = match event {
        Event::Resize(..) => return Some(Action::Redraw),
        // Some terminals also report key releases.
        Event::Key(key) if key.kind != KeyEventKind::Release => key,
        _ => return None,
    };
    if key.modifiers.contains(KeyModifiers::CONTROL) {
        return match key.code {
            KeyCode::Char('c') => Some(Action::End),
            KeyCode::Char('l') => Some(Action::Redraw),
            KeyCode::Char('z') => Some(Action::Suspend),
            _ => None,
        };
    }
    match key.code {
        _ if help => Some(Action::Help),
        KeyCode::Char('q') => Some(Action::End),
        KeyCode::Char('p') => Some(Action::Pause),
        KeyCode::Char('r') => Some(Action::Resume),
        KeyCode::Char('z') => Some(Action::Zoom),
        KeyCode::Char('?' | 'h') => Some(Action::Help),
        _ => None,
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use crossterm::event::KeyEvent;

    fn key(c: char, modifiers: KeyModifiers) -> Event {
        Event::Key(KeyEvent::new(KeyCode::Char(c), modifiers))
    }

    #[test]
    fn ctrl_c_ends_always_and_q_only_closes_the_help() {
        let ctrl_c = key('c', KeyModifiers::CONTROL);
        assert_eq!(action(&ctrl_c, false), Some(Action::End));
        assert_eq!(action(&ctrl_c, true), Some(Action::End));
        let q = key('q', KeyModifiers::NONE);
        assert_eq!(action(&q, false), Some(Action::End));
        assert_eq!(action(&q, true), Some(Action::Help));
    }

    #[test]
    fn released_keys_and_unknown_keys_have_no_action() {
        let mut released = KeyEvent::new(KeyCode::Char('q'), KeyModifiers::NONE);
        released.kind = KeyEventKind::Release;
        assert_eq!(action(&Event::Key(released), false), None);
        assert_eq!(action(&key('c', KeyModifiers::NONE), false), None);
    }

    #[test]
    fn a_change_of_size_redraws() {
        assert_eq!(action(&Event::Resize(80, 24), true), Some(Action::Redraw));
    }
}
