//! `bindgen FILE.wasm FOLDER` writes `index.js` and `index_bg.wasm` into the folder. `tools/bundle.mjs` calls it.

use anyhow::{Context, Result};
use wasm_bindgen_cli_support::Bindgen;

fn main() -> Result<()> {
    let mut arguments = std::env::args().skip(1);
    let mut argument = || arguments.next().context("usage: bindgen FILE.wasm FOLDER");
    let (wasm, folder) = (argument()?, argument()?);
    Bindgen::new()
        .module(true)?
        .input_path(wasm)
        .out_name("index")
        .typescript(false)
        // After a trap, such as a panic, the next call starts with new memory.
        .reset_state_function(true)
        .force_enable_abort_handler(true)
        .generate(folder)
}
