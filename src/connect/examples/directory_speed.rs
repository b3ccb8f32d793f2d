//! How fast the directory answers: `cargo run -p consentry-connect --example
//! directory_speed -- directory.jsonl.gz`.

use std::fs::File;
use std::io::BufReader;
use std::time::Instant;

use consentry_connect::directory::{Directory, DirectorySearch, import};

fn main() -> std::io::Result<()> {
    let path = std::env::args().nth(1).unwrap_or_default();
    let mut entries = Vec::new();
    let started = Instant::now();
    let report = import(BufReader::new(File::open(path)?), |_| {}, |entry| entries.push(entry))?;
    println!("imported {} in {:?}", report.imported, started.elapsed());
    let directory = Directory::build(entries);
    println!("{} institutions in {} bytes", directory.len(), directory.memory());
    for text in ["barclays", "societe generale", "nothing is called so", "a", "sparkasse koln"] {
        let search = DirectorySearch { text: Some(text.into()), ..DirectorySearch::default() };
        let started = Instant::now();
        let hits = directory.search(&search, None, 50).len();
        println!("{text:?}: {hits} hits in {:?}", started.elapsed());
    }
    Ok(())
}
