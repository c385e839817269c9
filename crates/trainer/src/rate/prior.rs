//! What a symbol costs, as a running estimate for each rate and channel.

use aecnn::codec::Rate;
use burn::tensor::{Device, Tensor, TensorData};
use serde::{Deserialize, Serialize};

/// The share of the past in the running estimates, for each picture seen at a rate.
const MEMORY: f64 = 0.985;
/// No symbol is taken for rarer than this.
const RAREST: f64 = 1e-4;

/// Running means for each rate (outer) and latent channel (inner).
#[derive(Serialize, Deserialize, Clone)]
pub(super) struct Prior {
    rates: Vec<Vec<Moments>>,
}

/// Moments of one channel's symbols at one rate. Stored bit by bit, so that resumed training is the
/// same training.
#[derive(Serialize, Deserialize, Clone, Copy)]
#[serde(from = "[u64; 4]", into = "[u64; 4]")]
struct Moments {
    /// How often the symbol is other than zero.
    nonzero: f64,
    /// Mean magnitude of the symbol.
    magnitude: f64,
    /// Mean of value times symbol, the value in steps.
    product: f64,
    /// Mean square of the symbol.
    square: f64,
}

/// The cost of symbols of a batch, each `[n, k, 1, 1]`, in bits.
pub(super) struct Costs {
    /// Of a zero.
    pub(super) zero: Tensor<4>,
    /// Of a one, more than of a zero.
    pub(super) first: Tensor<4>,
    /// Of each further one.
    pub(super) further: Tensor<4>,
    /// What one symbol is restored as, in steps.
    pub(super) reconstruction: Tensor<4>,
}

impl Prior {
    /// From the values of each of the payload's channels in some pictures.
    pub(super) fn new(rates: &[Rate], components: &[Vec<f32>]) -> Self {
        let moments = |rate: &Rate, component: &Vec<f32>| {
            Moments::of(component.iter().map(|value| {
                let steps = f64::from(value / rate.step);
                let magnitude = (steps.abs() + f64::from(rate.rounding)).floor();
                (steps, magnitude.copysign(steps))
            }))
        };
        let rates = rates
            .iter()
            .map(|rate| components.iter().map(|c| moments(rate, c)).collect())
            .collect();
        Self { rates }
    }

    /// The costs for pictures sent at these rates.
    pub(super) fn costs(&self, rates: &[usize], device: &Device) -> Costs {
        let of = |value: &dyn Fn(&Moments) -> f64| {
            let values: Vec<f32> = rates
                .iter()
                .flat_map(|rate| self.rates[*rate].iter().map(|m| value(m) as f32))
                .collect();
            let k = values.len() / rates.len();
            Tensor::from_data(TensorData::new(values, [rates.len(), k, 1, 1]), device)
        };
        Costs {
            zero: of(&|m| -(1.0 - m.nonzero()).log2()),
            // Sign, and the end of the run of further ones.
            first: of(&|m| {
                (1.0 - m.nonzero()).log2() - m.nonzero().log2() + 1.0 - (1.0 - m.decay()).log2()
            }),
            further: of(&|m| -m.decay().log2()),
            reconstruction: of(&|m| {
                if m.square > RAREST {
                    (m.product / m.square).clamp(0.7, 1.3)
                } else {
                    1.0
                }
            }),
        }
    }

    /// Counts the symbols of one picture: `[k, positions]` values in steps, and their symbols.
    pub(super) fn update(&mut self, rate: usize, steps: &[f32], symbols: &[f32]) {
        let channels = &mut self.rates[rate];
        let positions = (steps.len() / channels.len()).max(1);
        for (moments, (steps, symbols)) in channels
            .iter_mut()
            .zip(steps.chunks(positions).zip(symbols.chunks(positions)))
        {
            let pairs = steps.iter().zip(symbols);
            let new = Moments::of(pairs.map(|(t, s)| (f64::from(*t), f64::from(*s))));
            let blend = |old: f64, new: f64| MEMORY * old + (1.0 - MEMORY) * new;
            *moments = Moments {
                nonzero: blend(moments.nonzero, new.nonzero),
                magnitude: blend(moments.magnitude, new.magnitude),
                product: blend(moments.product, new.product),
                square: blend(moments.square, new.square),
            };
        }
    }
}

impl From<[u64; 4]> for Moments {
    fn from(bits: [u64; 4]) -> Self {
        let [nonzero, magnitude, product, square] = bits.map(f64::from_bits);
        Self {
            nonzero,
            magnitude,
            product,
            square,
        }
    }
}

impl From<Moments> for [u64; 4] {
    fn from(moments: Moments) -> Self {
        let Moments {
            nonzero,
            magnitude,
            product,
            square,
        } = moments;
        [nonzero, magnitude, product, square].map(f64::to_bits)
    }
}

impl Moments {
    /// Of values in steps and their symbols.
    fn of(pairs: impl ExactSizeIterator<Item = (f64, f64)>) -> Self {
        let n = pairs.len().max(1) as f64;
        let [mut nonzero, mut magnitude, mut product, mut square] = [0.0; 4];
        for (value, symbol) in pairs {
            nonzero += if symbol == 0.0 { 0.0 } else { 1.0 };
            magnitude += symbol.abs();
            product += value * symbol;
            square += symbol * symbol;
        }
        Self {
            nonzero: nonzero / n,
            magnitude: magnitude / n,
            product: product / n,
            square: square / n,
        }
    }

    fn nonzero(&self) -> f64 {
        self.nonzero.clamp(RAREST, 1.0 - 1e-3)
    }

    /// How much rarer each further magnitude is (a geometric distribution's ratio).
    fn decay(&self) -> f64 {
        let mean = self.magnitude.max(RAREST) / self.nonzero();
        (1.0 - 1.0 / mean.max(1.0)).clamp(0.02, 0.98)
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_seldom_symbol_costs_more() {
        let seldom = Moments {
            nonzero: 0.01,
            magnitude: 0.01,
            product: 0.01,
            square: 0.01,
        };
        let often = Moments {
            nonzero: 0.5,
            magnitude: 1.0,
            ..seldom
        };
        let prior = Prior {
            rates: vec![vec![seldom, often]],
        };
        let costs = prior.costs(&[0], &Device::flex());
        let values = |t: Tensor<4>| t.into_data().try_to_vec::<f32>().unwrap();
        let (first, further) = (values(costs.first), values(costs.further));
        assert!(first[0] > first[1] + 4.0, "{first:?}");
        assert!(further[0] > further[1], "{further:?}");
        // Half of the symbols are zero: one bit.
        assert!((values(costs.zero)[1] - 1.0).abs() < 1e-6);
    }

    #[test]
    fn the_estimate_follows_the_symbols() {
        let none = Moments {
            nonzero: 0.0,
            magnitude: 0.0,
            product: 0.0,
            square: 0.0,
        };
        let mut prior = Prior {
            rates: vec![vec![none; 2]],
        };
        for _ in 0..1000 {
            prior.update(0, &[0.2, 0.1, 1.9, -0.9], &[0.0, 0.0, 2.0, -1.0]);
        }
        assert!(prior.rates[0][0].nonzero < 1e-6);
        assert!((prior.rates[0][1].nonzero - 1.0).abs() < 1e-3);
        assert!((prior.rates[0][1].magnitude - 1.5).abs() < 1e-3);
    }
}
