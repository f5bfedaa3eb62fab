//! No expressions: the feature `cel` is off.

use serde_json::Value;

use crate::custom_resource::element::{Bad, Element};
use crate::custom_resource::error::Problem;

/// There is none.
#[derive(Debug)]
pub(in crate::custom_resource) enum Expression {}

impl Expression {
    pub(in crate::custom_resource) fn compile(_text: &str, field: String) -> Result<Self, Problem> {
        Err(Problem::NeedsFeature { field, feature: "cel" })
    }
}

/// Nothing to evaluate expressions in.
#[derive(Debug)]
pub(in crate::custom_resource) struct Scope<'v>(std::marker::PhantomData<&'v Value>);

impl<'v> Scope<'v> {
    pub(in crate::custom_resource) fn new(_object: &'v Value) -> Self {
        Self(std::marker::PhantomData)
    }

    #[expect(clippy::unused_self, reason = "with the feature, it is what expressions are evaluated in")]
    pub(in crate::custom_resource) fn evaluate(
        &mut self,
        expression: &Expression,
        _element: &Value,
        _place: Element<'_>,
    ) -> Result<Value, Bad> {
        match *expression {}
    }
}
