//! Go templates, as far as layouts use them, put into minijinja's words.

mod lex;
mod parse;
mod schema;
mod translate;

pub(super) use lex::names_event;
pub(super) use translate::translate;
