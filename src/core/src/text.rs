//! Text cut at a number of bytes.

/// The largest index of at most `at` bytes that does not split a character.
///
/// As `str::floor_char_boundary` of Rust 1.91, which is newer than the oldest supported version.
pub fn floor_char_boundary(text: &str, at: usize) -> usize {
    let at = at.min(text.len());
    // A character has at most four bytes.
    let candidates = (at.saturating_sub(3)..=at).rev();
    let mut boundaries = candidates.filter(|at| text.is_char_boundary(*at));
    boundaries.next().unwrap_or_default()
}

#[cfg(test)]
mod tests {
    use super::floor_char_boundary;

    #[test]
    fn a_character_is_not_split() {
        let text = "aä€🦀";
        let floors: Vec<usize> = (0..=text.len() + 1)
            .map(|at| floor_char_boundary(text, at))
            .collect();
        assert_eq!(floors, [0, 1, 1, 3, 3, 3, 6, 6, 6, 6, 10, 10]);
        assert_eq!(floor_char_boundary("", 5), 0);
    }
}
