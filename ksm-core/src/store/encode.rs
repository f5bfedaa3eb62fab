//! One object's samples as text: its prefix, and the tail of each family.

use super::labels::{write_extra, write_labels};
use crate::family::FamilyIndex;
use crate::samples::{Label, Reuse, SampleSink};
use crate::value::write_value;

/// The largest text of one sample that is kept: what is longer is no label anybody can use, and is counted.
pub(super) const MAX_SAMPLE: usize = 1 << 20;

const NONE: u32 = u32::MAX;

/// The scratch that an object's walk writes into; cleared, never shrunk to nothing, from object to object.
#[derive(Debug, Default)]
pub(super) struct Encoder {
    prefix: Vec<u8>,
    extra: Vec<u8>,
    text: Vec<u8>,
    samples: Vec<Emitted>,
    /// The first and the last sample of each family.
    families: Vec<(u32, u32)>,
    run: Vec<u8>,
    /// Samples that were too long to keep.
    pub(super) oversize: u64,
}

#[derive(Debug, Clone, Copy)]
struct Emitted {
    start: u32,
    end: u32,
    next: u32,
    reuse: Reuse,
}

impl Encoder {
    pub(super) fn reset(&mut self, families: usize) {
        // One giant object must not keep its buffer for ever.
        if self.text.capacity() > 4 * MAX_SAMPLE {
            self.text = Vec::new();
            self.run = Vec::new();
        }
        self.prefix.clear();
        self.extra.clear();
        self.text.clear();
        self.samples.clear();
        self.families.clear();
        self.families.resize(families, (NONE, NONE));
        self.oversize = 0;
    }

    /// `namespace="a",pod="b"`, without braces.
    pub(super) fn prefix(&self) -> &[u8] {
        &self.prefix
    }

    /// `,zone="c"`: what follows the prefix on all samples.
    pub(super) fn extra(&self) -> &[u8] {
        &self.extra
    }

    /// How many samples there are.
    pub(super) fn len(&self) -> usize {
        self.samples.len()
    }

    /// Calls `f` with each family that has samples: its index, its tail lines, and whether they are the object's own.
    pub(super) fn for_each_run(&mut self, mut f: impl FnMut(usize, &[u8], Reuse)) {
        for (family, (first, _)) in self.families.iter().enumerate() {
            let Some(sample) = self.samples.get(*first as usize) else { continue };
            if sample.next == NONE {
                f(family, self.text.get(sample.start as usize..sample.end as usize).unwrap_or_default(), sample.reuse);
                continue;
            }
            self.run.clear();
            let mut reuse = Reuse::Shared;
            let mut at = *first;
            while let Some(sample) = self.samples.get(at as usize) {
                self.run
                    .extend_from_slice(self.text.get(sample.start as usize..sample.end as usize).unwrap_or_default());
                if sample.reuse == Reuse::Unique {
                    reuse = Reuse::Unique;
                }
                at = sample.next;
            }
            f(family, &self.run, reuse);
        }
    }
}

impl SampleSink for Encoder {
    fn identity(&mut self, labels: &[Label<'_>]) {
        self.prefix.clear();
        write_labels(&mut self.prefix, labels, false);
    }

    fn sample(&mut self, family: FamilyIndex, labels: &[Label<'_>], value: f64, reuse: Reuse) {
        let Some((first, last)) = self.families.get_mut(family.index()) else { return };
        let start = self.text.len();
        write_labels(&mut self.text, labels, !self.prefix.is_empty());
        if self.text.len() - start > MAX_SAMPLE {
            self.text.truncate(start);
            self.oversize += 1;
            return;
        }
        self.text.extend_from_slice(b"} ");
        write_value(&mut self.text, value);
        self.text.push(b'\n');
        let (Ok(begin), Ok(end), Ok(at)) =
            (u32::try_from(start), u32::try_from(self.text.len()), u32::try_from(self.samples.len()))
        else {
            self.text.truncate(start);
            self.oversize += 1;
            return;
        };
        if let Some(previous) = self.samples.get_mut(*last as usize) {
            previous.next = at;
        } else {
            *first = at;
        }
        *last = at;
        self.samples.push(Emitted { start: begin, end, next: NONE, reuse });
    }

    fn extra_labels(&mut self, labels: &[Label<'_>]) {
        self.extra.clear();
        write_extra(&mut self.extra, labels, &self.prefix);
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    fn runs(encoder: &mut Encoder) -> Vec<(usize, String, Reuse)> {
        let mut runs = Vec::new();
        encoder.for_each_run(|family, text, reuse| {
            runs.push((family, String::from_utf8(text.to_vec()).unwrap(), reuse));
        });
        runs
    }

    #[test]
    fn samples_of_a_family_come_together_in_their_order() {
        let mut encoder = Encoder::default();
        encoder.reset(3);
        encoder.identity(&[("pod", "a\"b")]);
        encoder.sample(FamilyIndex(2), &[("c", "x")], 1.0, Reuse::Shared);
        encoder.sample(FamilyIndex(0), &[], 1.5e9, Reuse::Unique);
        encoder.sample(FamilyIndex(2), &[("c", "y")], 0.0, Reuse::Shared);
        assert_eq!(encoder.prefix(), br#"pod="a\"b""#);
        assert_eq!(
            runs(&mut encoder),
            [(0, "} 1.5e+09\n".to_owned(), Reuse::Unique), (2, ",c=\"x\"} 1\n,c=\"y\"} 0\n".to_owned(), Reuse::Shared)]
        );
    }

    #[test]
    fn without_identity_the_first_label_has_no_comma() {
        let mut encoder = Encoder::default();
        encoder.reset(1);
        encoder.sample(FamilyIndex(0), &[("a", "1"), ("b", "2")], 1.0, Reuse::Shared);
        assert_eq!(runs(&mut encoder)[0].1, "a=\"1\",b=\"2\"} 1\n");
    }

    #[test]
    fn an_absurd_label_costs_only_its_own_sample() {
        let mut encoder = Encoder::default();
        encoder.reset(2);
        let absurd = "x".repeat(MAX_SAMPLE + 1);
        encoder.sample(FamilyIndex(0), &[("a", &absurd)], 1.0, Reuse::Shared);
        encoder.sample(FamilyIndex(1), &[("a", "b")], 1.0, Reuse::Shared);
        assert_eq!((encoder.oversize, runs(&mut encoder).len()), (1, 1));
    }
}
