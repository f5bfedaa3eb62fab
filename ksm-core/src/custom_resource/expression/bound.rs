//! How much an expression may cost, told before it runs.
//!
//! CEL has no unbounded loops, but loops within loops over lists that objects bring, and texts that double. So each
//! expression is looked at once: how many steps can it take, over data of a given size? From that follows the largest
//! object that it is evaluated for.

use cel::IdedExpr;
use cel::common::ast::{ComprehensionExpr, EntryExpr, Expr, LiteralValue};

/// The variables that every expression has.
pub(super) const VARIABLES: [&str; 3] = ["self", "object", "key"];

/// How deep an expression may nest: evaluation recurses as deep.
const MAX_DEPTH: usize = 32;

/// How many loops may stand in each other.
const MAX_LOOPS: usize = 4;

/// The steps that an evaluation may take; a step is some 50 ns.
const MAX_STEPS: u64 = 1_000_000;

/// The largest amount of data that is worth looking at.
const MAX_SIZE: u64 = 1 << 24;

/// What an expression may give and take, in values and in 32 bytes of text.
#[derive(Debug, Clone, Copy, Default, PartialEq, Eq)]
struct Bound {
    size: u64,
    steps: u64,
}

impl Bound {
    fn one() -> Self {
        Self { size: 1, steps: 1 }
    }

    fn and(self, other: Self) -> Self {
        Self { size: self.size.saturating_add(other.size), steps: self.steps.saturating_add(other.steps) }
    }

    fn times(self, count: u64) -> Self {
        Self { size: self.size.saturating_mul(count), steps: self.steps.saturating_mul(count) }
    }
}

/// The largest size of data that the expression is evaluated for.
pub(super) fn largest(expression: &IdedExpr) -> Result<u64, String> {
    check(expression, &mut Vec::new(), 0, 0)?;
    let steps = |size: u64| bound(expression, size, &mut Vec::new()).steps;
    if steps(0) > MAX_STEPS {
        return Err(format!("it may take more than {MAX_STEPS} steps: make it simpler"));
    }
    // Bounds grow with the size.
    let (mut good, mut bad) = (0, MAX_SIZE);
    while bad - good > 1 {
        let middle = good.midpoint(bad);
        if steps(middle) <= MAX_STEPS { good = middle } else { bad = middle }
    }
    Ok(good)
}

/// The size of a text.
pub(super) fn text_size(text: &str) -> u64 {
    1 + text.len() as u64 / 32
}

/// Refuses what nests too deep, and variables that there are not.
fn check<'e>(node: &'e IdedExpr, scope: &mut Vec<&'e str>, depth: usize, loops: usize) -> Result<(), String> {
    if depth > MAX_DEPTH {
        return Err(format!("it nests deeper than {MAX_DEPTH}: make it simpler"));
    }
    let inner = depth + 1;
    match &node.expr {
        Expr::Ident(name)
            if !VARIABLES.contains(&name.as_str()) && !scope.contains(&name.as_str()) && !is_type(name) =>
        {
            Err(format!("there is no variable {name:?}: use {}", VARIABLES.join(", ")))
        }
        Expr::Comprehension(fold) => {
            if loops == MAX_LOOPS {
                return Err(format!("it has more than {MAX_LOOPS} loops within loops: make it simpler"));
            }
            check(&fold.iter_range, scope, inner, loops)?;
            check(&fold.accu_init, scope, inner, loops)?;
            let outside = scope.len();
            scope.extend([fold.iter_var.as_str(), fold.accu_var.as_str()]);
            scope.extend(fold.iter_var2.as_deref());
            for part in [&fold.loop_cond, &fold.loop_step, &fold.result] {
                check(part, scope, inner, loops + 1)?;
            }
            scope.truncate(outside);
            Ok(())
        }
        other => parts(other).into_iter().try_for_each(|part| check(part, scope, inner, loops)),
    }
}

/// Types are values in CEL: `type(self) == int`.
fn is_type(name: &str) -> bool {
    ["bool", "bytes", "double", "int", "list", "map", "null_type", "string", "type", "uint"].contains(&name)
}

fn bound<'e>(node: &'e IdedExpr, data: u64, scope: &mut Vec<(&'e str, u64)>) -> Bound {
    match &node.expr {
        Expr::Ident(name) => {
            let known = scope.iter().rev().find(|(known, _)| known == name);
            Bound { size: known.map_or(data, |(_, size)| *size), steps: 1 }
        }
        Expr::Literal(LiteralValue::String(text)) => Bound { size: text_size(text.inner()), steps: 1 },
        Expr::Literal(_) | Expr::Unspecified => Bound::one(),
        Expr::Select(select) => bound(&select.operand, data, scope).and(Bound { size: 0, steps: 1 }),
        Expr::Comprehension(fold) => fold_bound(fold, data, scope),
        other => {
            let parts = parts(other).into_iter();
            let all = parts.fold(Bound::one(), |sum, part| sum.and(bound(part, data, scope)));
            // A function reads its arguments, and an operator copies them.
            Bound { steps: all.steps.saturating_add(all.size), ..all }
        }
    }
}

/// A loop's bound. All bounds are polynomials of the data's size with no negative factor, so over elements that have
/// `size` together, none costs more than one element of that size beside others of none.
fn fold_bound<'e>(fold: &'e ComprehensionExpr, data: u64, scope: &mut Vec<(&'e str, u64)>) -> Bound {
    let range = bound(&fold.iter_range, data, scope);
    let start = bound(&fold.accu_init, data, scope);
    let mut step = |element: u64| {
        let outside = scope.len();
        scope.extend([(fold.iter_var.as_str(), element), (fold.accu_var.as_str(), 0)]);
        scope.extend(fold.iter_var2.as_deref().map(|name| (name, element)));
        let both = bound(&fold.loop_step, data, scope).and(Bound { size: 0, ..bound(&fold.loop_cond, data, scope) });
        scope.truncate(outside);
        both
    };
    let steps = step(0).times(range.size).and(step(range.size));
    let accumulated = start.size.saturating_add(steps.size);
    let outside = scope.len();
    scope.push((fold.accu_var.as_str(), accumulated));
    let result = bound(&fold.result, data, scope);
    scope.truncate(outside);
    let steps = [range.steps, range.size, start.steps, steps.steps, result.steps];
    Bound { size: result.size, steps: steps.into_iter().fold(0, u64::saturating_add) }
}

fn parts(expression: &Expr) -> Vec<&IdedExpr> {
    match expression {
        Expr::Call(call) => call.target.iter().map(AsRef::as_ref).chain(&call.args).collect(),
        Expr::List(list) => list.elements.iter().collect(),
        Expr::Map(map) => map.entries.iter().flat_map(|entry| entry_parts(&entry.expr)).collect(),
        Expr::Struct(fields) => fields.entries.iter().flat_map(|entry| entry_parts(&entry.expr)).collect(),
        Expr::Select(select) => vec![&select.operand],
        _ => Vec::new(),
    }
}

fn entry_parts(entry: &EntryExpr) -> Vec<&IdedExpr> {
    match entry {
        EntryExpr::StructField(field) => vec![&field.value],
        EntryExpr::MapEntry(entry) => vec![&entry.key, &entry.value],
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    fn of(expression: &str) -> Result<u64, String> {
        largest(cel::Program::compile(expression).unwrap().expression())
    }

    #[test]
    fn a_look_takes_any_object_and_loops_in_loops_small_ones() {
        let look = of("self.a.b == 'c'").unwrap();
        let once = of("self.exists(x, x.ok)").unwrap();
        let square = of("self.all(x, self.all(y, x != y))").unwrap();
        let cube = of("self.all(x, self.all(y, self.all(z, x != y && y != z)))").unwrap();
        assert!(look > 100_000 && once > 10_000, "{look} {once}");
        assert!((100..1000).contains(&square) && (10..100).contains(&cube), "{square} {cube}");
    }

    #[test]
    fn what_doubles_or_nests_is_refused() {
        let doubling = format!("['x']{}", ".map(a, a + a)".repeat(40));
        assert!(of(&doubling).is_err());
        let nested = (0..6).fold("self".to_owned(), |inner, at| format!("self.all(x{at}, {inner} == 1)"));
        assert!(of(&nested).unwrap_err().contains("loops within loops"));
        let sum = format!("1{}", " + 1".repeat(80));
        assert!(of(&sum).unwrap_err().contains("nests deeper"));
    }

    #[test]
    fn variables_are_known_in_their_scopes_only() {
        assert!(of("object.x + self.y").is_ok());
        assert!(of("[1].map(x, x)").is_ok());
        assert!(of("type(self) == int").is_ok());
        assert!(of("foo.x").unwrap_err().contains("\"foo\""));
        assert!(of("[1].map(x, x) == [x]").unwrap_err().contains("\"x\""));
    }
}
