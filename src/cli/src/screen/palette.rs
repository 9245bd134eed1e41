//! Colours, and the text attributes that replace them without colours. No information is shown by
//! colour alone.

use ratatui::style::{Color, Modifier, Style};
use ratatui::symbols::Marker;

/// Styles of the view.
#[derive(Clone, Copy, PartialEq, Eq, Debug)]
pub struct Palette {
    colour: bool,
    /// Marker of chart lines.
    pub marker: Marker,
}

impl Palette {
    /// With colours and Braille markers.
    pub const FULL: Palette = Palette {
        colour: true,
        marker: Marker::Braille,
    };

    /// Without colours.
    pub const PLAIN: Palette = Palette {
        colour: false,
        marker: Marker::Braille,
    };

    /// From the environment: `NO_COLOR` turns off colours (no-color.org); the Linux console has no
    /// Braille characters.
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

    /// Rules, axes and labels. Not grey, which is the background colour in some terminals.
    pub fn dim(self) -> Style {
        Style::new().add_modifier(Modifier::DIM)
    }

    /// Text in a dim element that is not dim itself.
    pub fn undimmed(self) -> Style {
        Style::new().remove_modifier(Modifier::DIM)
    }

    /// Titles and important numbers.
    pub fn strong(self) -> Style {
        Style::new().add_modifier(Modifier::BOLD)
    }

    /// Good values.
    pub fn good(self) -> Style {
        self.fg(Color::Green, Modifier::empty())
    }

    /// Warnings.
    pub fn warn(self) -> Style {
        self.fg(Color::Yellow, Modifier::BOLD)
    }

    /// Failures.
    pub fn bad(self) -> Style {
        self.fg(Color::Red, Modifier::BOLD)
            .add_modifier(Modifier::BOLD)
    }

    /// An urgent message.
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

    /// The achieved rate.
    pub fn achieved(self) -> Style {
        self.fg(Color::Cyan, Modifier::BOLD)
    }

    /// The planned rate.
    pub fn planned(self) -> Style {
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

    /// The maximum.
    pub fn max(self) -> Style {
        self.dim()
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn no_color_turns_off_all_colours() {
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
        // An empty value has no effect.
        let empty = Palette::of(|name| (name == "NO_COLOR").then(String::new));
        assert_eq!(empty, Palette::FULL);
    }

    #[test]
    fn a_console_without_braille_gets_dots() {
        let palette = Palette::of(|name| (name == "TERM").then(|| "linux".to_owned()));
        assert_eq!(palette.marker, Marker::Dot);
    }
}
