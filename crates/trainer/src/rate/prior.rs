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
#[serde(from = "[u64; 2]", into = "[u64; 2]")]
struct Moments {
    /// How often the symbol is other than zero.
    nonzero: f64,
    /// Mean magnitude of the symbol.
    magnitude: f64,
}

/// The cost of symbols of a batch, each `[n, k, 1, 1]`, in bits.
pub(super) struct Costs {
    /// Of a zero.
    pub(super) zero: Tensor<4>,
    /// Of a one, more than of a zero.
    pub(super) first: Tensor<4>,
    /// Of each further one.
    pub(super) further: Tensor<4>,
}

impl Prior {
    /// From the values of each of the payload's channels in some pictures.
    pub(super) fn new(rates: &[Rate], components: &[Vec<f32>]) -> Self {
        let moments = |rate: &Rate, component: &Vec<f32>| {
            Moments::of(component.iter().map(|value| {
                let steps = f64::from(value / rate.step);
                (steps.abs() + f64::from(rate.rounding)).floor()
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
        }
    }

    /// Takes in what pictures sent at these rates had of symbols in so many positions: how many were other than zero, and the
    /// sum of their magnitudes, each `[n, k]`.
    pub(super) fn update(
        &mut self,
        rates: &[usize],
        [nonzero, magnitude]: &[Vec<f32>; 2],
        positions: usize,
    ) {
        let n = positions as f64;
        let moments: Vec<Moments> = (nonzero.iter().zip(magnitude))
            .map(|(nonzero, magnitude)| Moments {
                nonzero: f64::from(*nonzero) / n,
                magnitude: f64::from(*magnitude) / n,
            })
            .collect();
        let of_each = moments.chunks((moments.len() / rates.len()).max(1));
        for (rate, of_picture) in rates.iter().zip(of_each) {
            self.blend(*rate, of_picture);
        }
    }

    fn blend(&mut self, rate: usize, of_picture: &[Moments]) {
        for (moments, new) in self.rates[rate].iter_mut().zip(of_picture) {
            let blend = |old: f64, new: f64| MEMORY * old + (1.0 - MEMORY) * new;
            *moments = Moments {
                nonzero: blend(moments.nonzero, new.nonzero),
                magnitude: blend(moments.magnitude, new.magnitude),
            };
        }
    }
}

impl From<[u64; 2]> for Moments {
    fn from(bits: [u64; 2]) -> Self {
        let [nonzero, magnitude] = bits.map(f64::from_bits);
        Self { nonzero, magnitude }
    }
}

impl From<Moments> for [u64; 2] {
    fn from(moments: Moments) -> Self {
        [moments.nonzero, moments.magnitude].map(f64::to_bits)
    }
}

impl Moments {
    /// Of symbols' magnitudes.
    fn of(magnitudes: impl ExactSizeIterator<Item = f64>) -> Self {
        let n = magnitudes.len().max(1) as f64;
        let (mut nonzero, mut sum) = (0.0, 0.0);
        for magnitude in magnitudes {
            nonzero += if magnitude == 0.0 { 0.0 } else { 1.0 };
            sum += magnitude;
        }
        Self {
            nonzero: nonzero / n,
            magnitude: sum / n,
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
        };
        let often = Moments {
            nonzero: 0.5,
            magnitude: 1.0,
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
        };
        let mut prior = Prior {
            rates: vec![vec![none; 2]],
        };
        for _ in 0..1000 {
            prior.update(&[0], &[vec![0.0, 2.0], vec![0.0, 3.0]], 2);
        }
        assert!(prior.rates[0][0].nonzero < 1e-6);
        assert!((prior.rates[0][1].nonzero - 1.0).abs() < 1e-3);
        assert!((prior.rates[0][1].magnitude - 1.5).abs() < 1e-3);
    }
}
