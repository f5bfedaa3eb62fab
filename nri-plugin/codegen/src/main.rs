//! Writes the messages of `nri-plugin` and `cluster-sim`.

use std::error::Error;
use std::fs;

fn main() -> Result<(), Box<dyn Error>> {
    for (path, text) in nri_plugin_codegen::generate()? {
        fs::write(&path, text)?;
    }
    Ok(())
}
