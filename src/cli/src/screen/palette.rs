//! Colours, and what stands in for them where there are none: nothing is told by colour alone.

use ratatui::style::{Color, Modifier, Style};
use ratatui::symbols::Marker;

/// How things look.
#[derive(Clone, Copy, PartialEq, Eq, Debug)]
pub struct Palette {
    colour: bool,
    /// What lines of charts are made of.
    pub marker: Marker,
}

impl Palette {
    /// In colour, with dots of Braille.
    pub const FULL: Palette = Palette {
        colour: true,
        marker: Marker::Braille,
    };

    /// Without colour.
    pub const PLAIN: Palette = Palette {
        colour: false,
        marker: Marker::Braille,
    };

    /// What the environment asks for: `NO_COLOR` for no colour (no-color.org); the console of
    /// Linux has no Braille.
    pub fn of(get: impl Fn(&str) -> Option<String>) -> Palette {
        let set = |name: &str| get(name).is_some_and(|value| !value.is_empty());
        Palette {
            colour: !set("NO_COLOR"),
            marker: match get("TERM").as_deref() {
                Some("linux") => Marker::Dot,
                _ => Marker::Braille,
            },
        }
    }

    fn fg(self, colour: Color, without: Modifier) -> Style {
        match self.colour {
            true => Style::new().fg(colour),
            false => Style::new().add_modifier(without),
        }
    }

    /// What frames the rest: rules, axes, words beside numbers. No grey: some palettes have the
    /// background there.
    pub fn dim(self) -> Style {
        Style::new().add_modifier(Modifier::DIM)
    }

    /// What stands in a frame without being a part of it.
    pub fn undimmed(self) -> Style {
        Style::new().remove_modifier(Modifier::DIM)
    }

    /// Titles, and numbers that matter most.
    pub fn strong(self) -> Style {
        Style::new().add_modifier(Modifier::BOLD)
    }

    /// As it should be.
    pub fn good(self) -> Style {
        self.fg(Color::Green, Modifier::empty())
    }

    /// To be looked at.
    pub fn warn(self) -> Style {
        self.fg(Color::Yellow, Modifier::BOLD)
    }

    /// Wrong.
    pub fn bad(self) -> Style {
        self.fg(Color::Red, Modifier::BOLD)
            .add_modifier(Modifier::BOLD)
    }

    /// A message that must not be missed.
    pub fn alert(self) -> Style {
        match self.colour {
            true => Style::new().fg(Color::Black).bg(Color::Yellow),
            false => Style::new().add_modifier(Modifier::REVERSED),
        }
    }

    /// Keys in the footer.
    pub fn key(self) -> Style {
        self.fg(Color::Cyan, Modifier::BOLD)
            .add_modifier(Modifier::BOLD)
    }

    /// What was achieved.
    pub fn achieved(self) -> Style {
        self.fg(Color::Cyan, Modifier::BOLD)
    }

    /// What the plan asks for.
    pub fn asked(self) -> Style {
        self.dim()
    }

    /// The median.
    pub fn p50(self) -> Style {
        self.fg(Color::Green, Modifier::empty())
    }

    /// The 99th percentile.
    pub fn p99(self) -> Style {
        self.fg(Color::Magenta, Modifier::BOLD)
    }

    /// The largest.
    pub fn max(self) -> Style {
        self.dim()
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn no_color_takes_every_colour_away() {
        let palette = Palette::of(|name| (name == "NO_COLOR").then(|| "1".to_owned()));
        let all = [
            palette.dim(),
            palette.good(),
            palette.warn(),
            palette.bad(),
            palette.alert(),
            palette.key(),
            palette.achieved(),
            palette.p50(),
            palette.p99(),
        ];
        assert!(
            all.iter()
                .all(|style| style.fg.is_none() && style.bg.is_none())
        );
        // Set, but empty, means nothing.
        let empty = Palette::of(|name| (name == "NO_COLOR").then(String::new));
        assert_eq!(empty, Palette::FULL);
    }

    #[test]
    fn a_console_without_braille_gets_dots() {
        let palette = Palette::of(|name| (name == "TERM").then(|| "linux".to_owned()));
        assert_eq!(palette.marker, Marker::Dot);
    }
}
