//! Columns, and the order of rows.

use std::cmp::Ordering;

use cgroup_perf::quality::Quality;
use clap::ValueEnum;

use crate::rows::Row;
use crate::snapshot::Counted;

/// What comes first.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Default, ValueEnum)]
pub(crate) enum Sort {
    /// Cycles per second
    Cycles,
    /// Cpu time
    #[default]
    Cpu,
    /// Cycles per instruction
    Cpi,
    /// Cache misses per thousand instructions
    Misses,
    /// Times that a processor was taken away
    Switches,
    /// The name
    Name,
}

impl Sort {
    /// What tells most of what is counted.
    pub(crate) fn best(counted: &Counted) -> Self {
        if counted.cycles.is_some() { Self::Cycles } else { Self::Cpu }
    }

    /// Whether there is anything to sort by.
    pub(crate) fn is_counted(self, counted: &Counted) -> bool {
        match self {
            Self::Cycles => counted.cycles.is_some(),
            Self::Cpi => counted.cycles.and(counted.instructions).is_some(),
            Self::Misses => counted.misses.and(counted.instructions).is_some(),
            Self::Cpu | Self::Switches | Self::Name => true,
        }
    }

    pub(crate) const fn as_str(self) -> &'static str {
        match self {
            Self::Cycles => "cycles",
            Self::Cpu => "cpu",
            Self::Cpi => "cpi",
            Self::Misses => "misses",
            Self::Switches => "switches",
            Self::Name => "name",
        }
    }

    fn value(self, counted: &Counted, row: &Row) -> Option<f64> {
        let figures = &row.figures;
        match self {
            Self::Cycles => figures.per_second(counted.cycles?),
            Self::Cpu => Some(figures.cpu),
            Self::Cpi => figures.cpi,
            Self::Misses => figures.mpki,
            Self::Switches => Some(figures.switches_per_second()),
            Self::Name => None,
        }
    }

    /// The larger first; what has no figure is behind all that have.
    pub(crate) fn compare(self, counted: &Counted, one: &Row, other: &Row) -> Ordering {
        let key = |row| self.value(counted, row).unwrap_or(f64::NEG_INFINITY);
        let by_cpu = || match self {
            Self::Name => Ordering::Equal,
            _ => other.figures.cpu.total_cmp(&one.figures.cpu),
        };
        let by_name = || one.name.cmp(&other.name).then_with(|| one.key.cmp(&other.key));
        key(other).total_cmp(&key(one)).then_with(by_cpu).then_with(by_name)
    }
}

/// A column of figures.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(crate) enum Column {
    Cycles,
    Cpi,
    Mpki,
    Cpu,
    Switches,
    /// Another counter, by its number.
    Other(usize),
}

impl Column {
    /// Those that there is something for.
    pub(crate) fn of(counted: &Counted) -> Vec<Self> {
        let own = [(Self::Cycles, Sort::Cycles), (Self::Cpi, Sort::Cpi), (Self::Mpki, Sort::Misses)];
        let own = own.into_iter().filter(|(_, sort)| sort.is_counted(counted)).map(|(column, _)| column);
        let always = [Self::Cpu, Self::Switches];
        own.chain(always).chain(counted.others().map(|(number, _)| Self::Other(number))).collect()
    }

    pub(crate) fn title(self, counted: &Counted) -> String {
        match self {
            Self::Cycles => "CYCLES/s".to_owned(),
            Self::Cpi => "CPI".to_owned(),
            Self::Mpki => "MPKI".to_owned(),
            Self::Cpu => "CPU%".to_owned(),
            Self::Switches => "SWITCH/s".to_owned(),
            Self::Other(number) => {
                let name = counted.names.get(number).map_or("", String::as_str);
                let name = match name {
                    // A terminal of eighty columns has room for no more.
                    "page-faults" => "faults",
                    "migrations" => "moves",
                    name => name.trim_end_matches('/'),
                };
                format!("{}/s", name.to_uppercase())
            }
        }
    }

    pub(crate) fn text(self, counted: &Counted, row: &Row) -> String {
        let figures = &row.figures;
        let ratio = |value: Option<f64>| value.map_or_else(|| "-".to_owned(), |value| format!("{value:.2}"));
        match self {
            Self::Cycles => counted.cycles.map_or_else(|| "-".to_owned(), |number| count(row, number)),
            Self::Cpi => ratio(figures.cpi),
            Self::Mpki => ratio(figures.mpki),
            Self::Cpu => format!("{:.1}", figures.cpu * 100.0),
            Self::Switches => short(figures.switches_per_second()),
            Self::Other(number) => count(row, number),
        }
    }
}

/// A figure with a sign of what it is worth: `~` scaled, `!` too little, `?` a part is left out as it can't be, `-` none.
fn count(row: &Row, number: usize) -> String {
    let (Some(verdict), Some(value)) = (row.figures.counts.get(number), row.figures.per_second(number)) else {
        return "-".to_owned();
    };
    let sign = match verdict.quality {
        Quality::Exact => "",
        Quality::Scaled => "~",
        Quality::NotCounted => "-",
        Quality::Stalled => "!",
        Quality::Implausible => "?",
    };
    format!("{sign}{}", short(value))
}

/// Three digits and a power of ten.
pub(crate) fn short(value: f64) -> String {
    let powers = [(1e12, "T"), (1e9, "G"), (1e6, "M"), (1e3, "k")];
    match powers.iter().find(|(power, _)| value >= *power) {
        Some((power, sign)) if value / power >= 100.0 => format!("{:.0}{sign}", value / power),
        Some((power, sign)) => format!("{:.1}{sign}", value / power),
        None if value > 0.0 && value < 10.0 => format!("{value:.1}"),
        None => format!("{value:.0}"),
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn figures_are_as_long_as_columns_are_wide() {
        let texts = [0.0, 0.4, 42.0, 1_234.0, 999_000.0, 3_210_000_000.0].map(short);
        assert_eq!(texts, ["0", "0.4", "42", "1.2k", "999k", "3.2G"]);
    }

    #[test]
    fn there_are_columns_of_what_is_counted() {
        let mut counted = Counted { names: vec!["migrations".to_owned()], ..Counted::default() };
        assert_eq!(Column::of(&counted), [Column::Cpu, Column::Switches, Column::Other(0)]);
        assert_eq!(Column::Other(0).title(&counted), "MOVES/s");
        counted.names = ["cycles", "instructions", "llc-misses"].map(str::to_owned).to_vec();
        (counted.cycles, counted.instructions, counted.misses) = (Some(0), Some(1), Some(2));
        let all = [Column::Cycles, Column::Cpi, Column::Mpki, Column::Cpu, Column::Switches];
        assert_eq!(Column::of(&counted), all);
        assert_eq!(Sort::best(&counted), Sort::Cycles);
    }
}
