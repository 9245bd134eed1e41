//! What keys mean.

use crossterm::event::{Event, KeyCode, KeyEventKind, KeyModifiers};

/// What a key asks for.
#[derive(Clone, Copy, PartialEq, Eq, Debug)]
pub enum Action {
    /// The end, as Ctrl-C elsewhere: a terminal in raw mode makes a key of it.
    End,
    /// Let the load stand still.
    Pause,
    /// Let it go on.
    Resume,
    /// The other span of the charts.
    Zoom,
    /// Explain the keys, or stop explaining.
    Help,
    /// Draw everything anew: something else wrote to the terminal, or its size changed.
    Redraw,
    /// Hand the terminal back to the shell, as Ctrl-Z elsewhere.
    Suspend,
}

/// What an event of the terminal asks for; `help` is being shown.
pub fn action(event: &Event, help: bool) -> Option<Action> {
    let key = match event {
        Event::Resize(..) => return Some(Action::Redraw),
        // Some terminals tell of the release as well.
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
    fn ctrl_c_ends_whatever_is_shown_and_q_only_what_it_can_be_read_about() {
        let ctrl_c = key('c', KeyModifiers::CONTROL);
        assert_eq!(action(&ctrl_c, false), Some(Action::End));
        assert_eq!(action(&ctrl_c, true), Some(Action::End));
        let q = key('q', KeyModifiers::NONE);
        assert_eq!(action(&q, false), Some(Action::End));
        assert_eq!(action(&q, true), Some(Action::Help));
    }

    #[test]
    fn a_released_key_and_a_plain_c_mean_nothing() {
        let mut released = KeyEvent::new(KeyCode::Char('q'), KeyModifiers::NONE);
        released.kind = KeyEventKind::Release;
        assert_eq!(action(&Event::Key(released), false), None);
        assert_eq!(action(&key('c', KeyModifiers::NONE), false), None);
    }

    #[test]
    fn a_new_size_is_drawn_at_once() {
        assert_eq!(action(&Event::Resize(80, 24), true), Some(Action::Redraw));
    }
}
