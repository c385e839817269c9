//! Speed and size on the geometries of the stage 2 and stem splits: `cargo bench -p feature-codec`.
//!
//! The symbols are Laplacian, narrower from channel to channel as a codec's are; the tables are frozen from
//! 2,000 other drawings. Before the times, the size is printed against what the tables say it should be.

#![allow(missing_docs, clippy::expect_used)]

use std::hint::black_box;

use criterion::{BenchmarkId, Criterion, Throughput, criterion_group, criterion_main};
use feature_codec::{Counts, Geometry as Grid, Symbol, Tables};

struct Geometry {
    name: &'static str,
    channels: usize,
    positions: usize,
    /// Scale of the first channel, in steps of the quantiser.
    widest: f64,
    /// Scale of a channel relative to the one before it.
    decay: f64,
}

const GEOMETRIES: [Geometry; 3] = [
    Geometry {
        name: "stage2, 256 x 49",
        channels: 256,
        positions: 49,
        widest: 4.0,
        decay: 0.98,
    },
    Geometry {
        name: "stage2 fine, 256 x 49",
        channels: 256,
        positions: 49,
        widest: 20.0,
        decay: 0.99,
    },
    Geometry {
        name: "stem, 64 x 784",
        channels: 64,
        positions: 784,
        widest: 4.0,
        decay: 0.92,
    },
];

/// Drawings of Marsaglia's xorshift64.
struct Random(u64);

impl Random {
    fn unit(&mut self) -> f64 {
        self.0 ^= self.0 << 13;
        self.0 ^= self.0 >> 7;
        self.0 ^= self.0 << 17;
        ((self.0 >> 11) as f64 + 0.5) / (1u64 << 53) as f64
    }

    fn laplacian(&mut self, scale: f64) -> Symbol {
        let u = self.unit() - 0.5;
        (-scale * (1.0 - 2.0 * u.abs()).ln()).copysign(u).round() as Symbol
    }

    fn feature(&mut self, geometry: &Geometry) -> Vec<Symbol> {
        let scales = (0..geometry.channels)
            .map(|channel| geometry.widest * geometry.decay.powi(channel as i32));
        scales
            .flat_map(|scale| vec![scale; geometry.positions])
            .map(|scale| self.laplacian(scale))
            .collect()
    }
}

fn tables(random: &mut Random, geometry: &Geometry) -> Tables {
    let mut counts = vec![vec![0; 1 << 16]; geometry.channels];
    for _ in 0..2_000 {
        let feature = random.feature(geometry);
        for (counts, symbols) in counts.iter_mut().zip(feature.chunks(geometry.positions)) {
            for symbol in symbols {
                counts[(i32::from(*symbol) + 32768) as usize] += 1;
            }
        }
    }
    let counts: Vec<_> = counts
        .into_iter()
        .map(|counts| Counts {
            min: Symbol::MIN,
            counts,
        })
        .collect();
    Tables::from_counts(&counts).expect("every channel was counted")
}

/// Bits of one symbol of each channel on average, if symbols were drawn from the tables; the escape's own bits
/// are not counted, as if escapes were free after their entry.
fn entropy(tables: &Tables) -> f64 {
    let bits = |frequency: u16| {
        let p = f64::from(frequency) / 65536.0;
        -p * p.log2()
    };
    let of = |table: &feature_codec::Table| {
        let symbols = (table.min()..=table.max()).filter_map(|symbol| table.frequency(symbol));
        symbols
            .chain([table.escape_frequency()])
            .map(bits)
            .sum::<f64>()
    };
    tables.iter().map(|channel| of(&channel.tables()[0])).sum()
}

fn codec(c: &mut Criterion) {
    for geometry in &GEOMETRIES {
        let Geometry {
            name,
            channels,
            positions,
            ..
        } = *geometry;
        let mut random = Random(0x9e37_79b9_7f4a_7c15);
        let tables = tables(&mut random, geometry);
        let side = (positions as f64).sqrt() as usize;
        let grid = Grid {
            channels,
            rows: side,
            columns: side,
        };

        // One feature would train the processor's branch prediction; so many of them don't fit.
        let features: Vec<_> = (0..64).map(|_| random.feature(geometry)).collect();
        let encode = |symbols: &Vec<Symbol>| tables.encode(symbols, grid).expect("fits");
        let payloads: Vec<_> = features.iter().map(encode).collect();
        for (feature, payload) in features.iter().zip(&payloads) {
            assert_eq!(&tables.decode(payload, grid).expect("is whole"), feature);
        }

        let mean = payloads.iter().map(Vec::len).sum::<usize>() as f64 / payloads.len() as f64;
        let expected = entropy(&tables) * positions as f64 / 8.0;
        eprintln!(
            "{name}: {mean:.1} bytes a feature, {expected:.1} by the tables' entropy ({:+.2} %); tables {} bytes",
            100.0 * (mean / expected - 1.0),
            tables.to_bytes().len(),
        );

        let mut group = c.benchmark_group(name);
        group.throughput(Throughput::Elements((channels * positions) as u64));
        let mut next = (0..features.len()).cycle();
        group.bench_function(BenchmarkId::from_parameter("encode"), |b| {
            b.iter(|| encode(black_box(&features[next.next().unwrap_or(0)])));
        });
        group.bench_function(BenchmarkId::from_parameter("decode"), |b| {
            b.iter(|| tables.decode(black_box(&payloads[next.next().unwrap_or(0)]), grid));
        });
        group.finish();
    }
}

criterion_group! {
    name = benches;
    config = Criterion::default().without_plots();
    targets = codec
}
criterion_main!(benches);
