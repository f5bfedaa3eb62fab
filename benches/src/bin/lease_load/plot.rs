//! Counts as lines of blocks.

/// How wide the longest line is.
const WIDTH: usize = 60;
/// How many lines there are at most.
const LINES: usize = 40;

/// A line for every `step` counts: when it began, a bar, and their sum. With many, several steps share a line, which
/// shows the mean.
pub(crate) fn plot(counts: &[u64], step: usize) -> String {
    let steps: Vec<u64> = counts.chunks(step.max(1)).map(|part| part.iter().sum()).collect();
    let per_line = steps.len().div_ceil(LINES).max(1);
    let means: Vec<f64> =
        steps.chunks(per_line).map(|part| part.iter().sum::<u64>() as f64 / part.len() as f64).collect();
    let longest = means.iter().copied().fold(1.0, f64::max);
    let line = |(at, mean): (usize, &f64)| {
        #[expect(clippy::cast_possible_truncation, clippy::cast_sign_loss, reason = "a share of the width")]
        let blocks = (mean / longest * WIDTH as f64).round() as usize;
        format!("{:>7} s {:<WIDTH$} {mean:.0}\n", at * per_line * step, "█".repeat(blocks))
    };
    means.iter().enumerate().map(line).collect()
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn bars_are_as_long_as_their_counts() {
        let plotted = plot(&[1, 1, 4, 4, 0, 0], 2);
        let lines: Vec<&str> = plotted.lines().collect();
        assert_eq!(lines.len(), 3);
        let blocks = |line: &str| line.chars().filter(|c| *c == '█').count();
        assert_eq!(lines.iter().map(|line| blocks(line)).collect::<Vec<_>>(), [WIDTH / 4, WIDTH, 0]);
        assert!(lines[1].starts_with("      2 s") && lines[1].ends_with(" 8"), "{}", lines[1]);
    }

    #[test]
    fn many_counts_share_lines() {
        let plotted = plot(&[3; 400], 1);
        assert_eq!(plotted.lines().count(), LINES);
        assert!(plotted.lines().all(|line| line.ends_with(" 3")));
    }
}
