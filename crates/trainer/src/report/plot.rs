//! Drawing a chart: bytes on a logarithmic axis against a figure, better ones higher.

use anyhow::{Result, anyhow};
use plotters::coord::Shift;
use plotters::coord::combinators::{BindKeyPoints, IntoLogRange, LogCoord, WithKeyPoints};
use plotters::coord::types::RangedCoordf64;
use plotters::prelude::{
    BLACK, Cartesian2d, ChartBuilder, ChartContext, Circle, DrawingArea, EmptyElement,
    IntoDrawingArea, IntoFont, IntoTextStyle, PathElement, Polygon, RGBColor, SVGBackend, Text,
    WHITE,
};
use plotters::style::Color;

/// One chart with its legend.
pub(super) struct Chart {
    pub(super) title: String,
    pub(super) scale: Scale,
    /// Pixels; the height grows with the legend.
    pub(super) size: (u32, u32),
    pub(super) groups: Vec<Group>,
}

/// The vertical axis; `best` is at the top, whichever is the larger number.
#[derive(Debug, Clone, Copy)]
pub(super) struct Scale {
    pub(super) label: &'static str,
    /// Points beyond are not drawn; lines end here.
    pub(super) worst: f64,
    pub(super) best: f64,
    pub(super) step: f64,
}

/// Lines under one heading of the legend.
pub(super) struct Group {
    pub(super) heading: String,
    pub(super) lines: Vec<Line>,
}

/// One method's points.
pub(super) struct Line {
    pub(super) label: String,
    pub(super) colour: (u8, u8, u8),
    pub(super) marker: Marker,
    /// For what was not measured here.
    pub(super) hollow: bool,
    /// In the order of their bytes.
    pub(super) points: Vec<Point>,
}

/// A point in the units of the scale.
pub(super) struct Point {
    pub(super) bytes: f64,
    pub(super) value: f64,
    pub(super) interval: Option<(f64, f64)>,
}

/// The shape of a point.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(super) enum Marker {
    Circle,
    Square,
    Diamond,
    Up,
    Down,
    Star,
}

const TITLE_HEIGHT: u32 = 44;
const LEGEND_WIDTH: u32 = 300;
const LEGEND_LINE: i32 = 21;
const TEXT: RGBColor = RGBColor(50, 50, 50);
const GRID: RGBColor = RGBColor(228, 228, 228);

type Area<'a> = DrawingArea<SVGBackend<'a>, Shift>;
type Context<'a, 's> =
    ChartContext<'a, SVGBackend<'s>, Cartesian2d<WithKeyPoints<LogCoord<f64>>, RangedCoordf64>>;

/// The chart as SVG, on a white background of its own.
pub(super) fn draw(chart: &Chart) -> Result<String> {
    let mut svg = String::new();
    let (width, height) = chart.size;
    let size = (
        width,
        height.max(TITLE_HEIGHT + legend_height(&chart.groups)),
    );
    {
        let root = SVGBackend::with_string(&mut svg, size).into_drawing_area();
        paint(chart, &root).map_err(|error| anyhow!("drawing `{}`: {error}", chart.title))?;
    }
    Ok(svg)
}

fn paint(chart: &Chart, root: &Area<'_>) -> Result<()> {
    root.fill(&WHITE)?;
    write(root, &chart.title, (16, 14), 22, &BLACK)?;
    let below_title = root.margin(TITLE_HEIGHT, 0, 0, 0);
    let (left, right) = below_title.split_horizontally(chart.size.0 - LEGEND_WIDTH);
    let frame = Frame::of(chart);
    let mut context = axes(chart, &left, &frame)?;
    // What was measured here lies over what was not.
    for line in chart.groups.iter().rev().flat_map(|group| &group.lines) {
        draw_line(root, &mut context, line, &frame)?;
    }
    legend(&right, &chart.groups)
}

fn write(area: &Area<'_>, text: &str, at: (i32, i32), size: u32, colour: &RGBColor) -> Result<()> {
    let style = ("sans-serif", size).into_font().color(colour);
    area.draw(&Text::new(text.to_owned(), at, style))?;
    Ok(())
}

/// The part of the plane that is drawn. Heights grow upwards: losses are negative heights.
struct Frame {
    bytes: (f64, f64),
    heights: (f64, f64),
    /// 1, or -1 where the smaller number is better.
    sign: f64,
}

impl Frame {
    fn of(chart: &Chart) -> Self {
        let Scale { worst, best, .. } = chart.scale;
        let sign = if best > worst { 1.0 } else { -1.0 };
        let heights = (sign * worst, sign * best);
        let mut bytes = (f64::INFINITY, 0.0f64);
        for point in chart
            .groups
            .iter()
            .flat_map(|g| &g.lines)
            .flat_map(|l| &l.points)
        {
            if (heights.0..=heights.1).contains(&(sign * point.value)) {
                bytes = (bytes.0.min(point.bytes), bytes.1.max(point.bytes));
            }
        }
        if bytes.1 == 0.0 {
            bytes = (100.0, 10_000.0);
        }
        Self {
            bytes: (bytes.0 / 1.15, bytes.1 * 1.15),
            heights,
            sign,
        }
    }

    fn height(&self, value: f64) -> f64 {
        self.sign * value
    }

    fn holds(&self, point: &Point) -> bool {
        (self.heights.0..=self.heights.1).contains(&self.height(point.value))
            && (self.bytes.0..=self.bytes.1).contains(&point.bytes)
    }

    /// The part of the line from `a` to `b` that lies in the frame, as bytes and heights.
    fn clip(&self, a: &Point, b: &Point) -> Option<[(f64, f64); 2]> {
        let (from, to) = (
            (a.bytes.ln(), self.height(a.value)),
            (b.bytes.ln(), self.height(b.value)),
        );
        let bytes = (self.bytes.0.ln(), self.bytes.1.ln());
        let (mut start, mut end) = (0.0f64, 1.0f64);
        for (at, step, (low, high)) in [
            (from.0, to.0 - from.0, bytes),
            (from.1, to.1 - from.1, self.heights),
        ] {
            if step == 0.0 {
                if at < low || at > high {
                    return None;
                }
                continue;
            }
            let (first, second) = ((low - at) / step, (high - at) / step);
            start = start.max(first.min(second));
            end = end.min(first.max(second));
        }
        let on = |way: f64| {
            (
                (from.0 + way * (to.0 - from.0)).exp(),
                from.1 + way * (to.1 - from.1),
            )
        };
        (start < end).then(|| [on(start), on(end)])
    }
}

fn axes<'a, 's>(chart: &Chart, area: &'a Area<'s>, frame: &Frame) -> Result<Context<'a, 's>> {
    let steps = ((frame.heights.1 - frame.heights.0) / chart.scale.step).round() as usize;
    let mut context = ChartBuilder::on(area)
        .margin_right(20)
        .margin_bottom(8)
        .margin_left(8)
        .x_label_area_size(52)
        .y_label_area_size(64)
        .build_cartesian_2d(
            (frame.bytes.0..frame.bytes.1)
                .log_scale()
                .with_key_points(byte_ticks(frame.bytes)),
            frame.heights.0..frame.heights.1,
        )?;
    let sign = frame.sign;
    context
        .configure_mesh()
        .light_line_style(WHITE)
        .bold_line_style(GRID)
        .axis_style(RGBColor(120, 120, 120))
        .label_style(("sans-serif", 16).with_color(TEXT).into_text_style(area))
        .axis_desc_style(("sans-serif", 17).with_color(TEXT).into_text_style(area))
        .x_desc("mean bytes a picture (logarithmic)")
        .y_desc(chart.scale.label)
        .y_labels(steps + 1)
        .x_label_formatter(&|bytes| super::markdown::whole(*bytes))
        .y_label_formatter(&|height| format!("{:.0}", (sign * height).round() + 0.0))
        .draw()?;
    Ok(context)
}

/// Round numbers within `bytes`.
fn byte_ticks((low, high): (f64, f64)) -> Vec<f64> {
    let steps: &[f64] = if high / low < 30.0 {
        &[1.0, 1.5, 2.0, 3.0, 5.0, 7.0]
    } else {
        &[1.0, 2.0, 5.0]
    };
    (0..7)
        .flat_map(|power| steps.iter().map(move |step| step * 10f64.powi(power)))
        .filter(|tick| (low..=high).contains(tick))
        .collect()
}

fn draw_line(
    root: &Area<'_>,
    context: &mut Context<'_, '_>,
    line: &Line,
    frame: &Frame,
) -> Result<()> {
    let (r, g, b) = line.colour;
    let colour = RGBColor(r, g, b);
    let (opacity, width) = if line.hollow { (0.45, 1) } else { (1.0, 2) };
    for pair in line.points.windows(2) {
        if let [a, b] = pair
            && let Some(piece) = frame.clip(a, b)
        {
            let style = colour.mix(opacity).stroke_width(width);
            context.draw_series([PathElement::new(piece.to_vec(), style)])?;
        }
    }
    for point in line.points.iter().filter(|point| frame.holds(point)) {
        if let Some((low, high)) = point.interval {
            let within = |value: f64| frame.height(value).clamp(frame.heights.0, frame.heights.1);
            let bar = vec![(point.bytes, within(low)), (point.bytes, within(high))];
            let style = colour.mix(0.3).stroke_width(2);
            context.draw_series([PathElement::new(bar, style)])?;
        }
        let at = (point.bytes, frame.height(point.value));
        draw_marker(root, context.backend_coord(&at), line)?;
    }
    Ok(())
}

impl Marker {
    /// The marker of the method of this number.
    pub(super) fn numbered(number: usize) -> Self {
        const ORDER: [Marker; 4] = [
            Marker::Circle,
            Marker::Square,
            Marker::Diamond,
            Marker::Star,
        ];
        ORDER[number % ORDER.len()]
    }

    /// Corners in pixels around the point; a circle has none.
    fn corners(self) -> Vec<(i32, i32)> {
        let around = |n: usize, turn: f64, radius: &dyn Fn(usize) -> f64| {
            (0..n)
                .map(|corner| {
                    let angle = std::f64::consts::TAU * corner as f64 / n as f64 + turn;
                    let (sin, cos) = angle.sin_cos();
                    (
                        (radius(corner) * cos).round() as i32,
                        (radius(corner) * sin).round() as i32,
                    )
                })
                .collect()
        };
        match self {
            Self::Circle => Vec::new(),
            Self::Square => vec![(-5, -5), (5, -5), (5, 5), (-5, 5)],
            Self::Diamond => vec![(0, -6), (6, 0), (0, 6), (-6, 0)],
            Self::Up => vec![(0, -6), (6, 5), (-6, 5)],
            Self::Down => vec![(0, 6), (6, -5), (-6, -5)],
            Self::Star => around(10, -std::f64::consts::FRAC_PI_2, &|corner| {
                if corner.is_multiple_of(2) { 7.0 } else { 3.0 }
            }),
        }
    }
}

/// A line's marker around a pixel of `area`.
fn draw_marker(area: &Area<'_>, at: (i32, i32), line: &Line) -> Result<()> {
    let (r, g, b) = line.colour;
    let colour = RGBColor(r, g, b);
    let (fill, outline) = if line.hollow {
        (WHITE.filled(), colour.stroke_width(2))
    } else {
        (colour.filled(), WHITE.stroke_width(1))
    };
    if line.marker == Marker::Circle {
        area.draw(&Circle::new(at, 5, fill))?;
        area.draw(&Circle::new(at, 5, outline))?;
    } else {
        let corners = line.marker.corners();
        let closed: Vec<_> = corners.iter().chain(corners.first()).copied().collect();
        area.draw(&(EmptyElement::at(at) + Polygon::new(corners, fill)))?;
        area.draw(&(EmptyElement::at(at) + PathElement::new(closed, outline)))?;
    }
    Ok(())
}

/// What the legend needs at least.
fn legend_height(groups: &[Group]) -> u32 {
    let lines: usize = groups.iter().map(|group| group.lines.len() + 2).sum();
    LEGEND_LINE.unsigned_abs() * lines as u32
}

fn legend(area: &Area<'_>, groups: &[Group]) -> Result<()> {
    let mut y = 12;
    for group in groups {
        write(area, &group.heading, (8, y - 8), 16, &BLACK)?;
        y += LEGEND_LINE + 2;
        for line in &group.lines {
            let (r, g, b) = line.colour;
            let colour = RGBColor(r, g, b);
            let (opacity, width) = if line.hollow { (0.45, 1) } else { (1.0, 2) };
            area.draw(&PathElement::new(
                vec![(8, y), (40, y)],
                colour.mix(opacity).stroke_width(width),
            ))?;
            draw_marker(area, (24, y), line)?;
            write(area, &line.label, (48, y - 8), 16, &TEXT)?;
            y += LEGEND_LINE;
        }
        y += LEGEND_LINE / 2;
    }
    Ok(())
}

#[cfg(test)]
mod tests {
    use super::*;

    fn point(bytes: f64, value: f64) -> Point {
        Point {
            bytes,
            value,
            interval: None,
        }
    }

    fn frame() -> Frame {
        Frame {
            bytes: (100.0, 10_000.0),
            heights: (-10.0, 0.0),
            sign: -1.0,
        }
    }

    #[test]
    fn lines_end_at_the_frame() {
        // From 20 lost to none: 10 are lost half the way, at the geometric mean of the bytes.
        let [from, to] = frame()
            .clip(&point(100.0, 20.0), &point(10_000.0, 0.0))
            .unwrap();
        assert!((from.0 - 1000.0).abs() < 1e-6 && (from.1 + 10.0).abs() < 1e-9);
        assert!((to.0 - 10_000.0).abs() < 1e-6 && to.1.abs() < 1e-9);
        assert!(
            frame()
                .clip(&point(200.0, 20.0), &point(300.0, 12.0))
                .is_none()
        );
        assert!(
            frame()
                .clip(&point(200.0, 11.0), &point(300.0, 11.0))
                .is_none()
        );
    }

    #[test]
    fn ticks_are_round_and_inside() {
        assert_eq!(
            byte_ticks((90.0, 4000.0)),
            [100.0, 200.0, 500.0, 1000.0, 2000.0]
        );
        assert!(byte_ticks((400.0, 1000.0)).contains(&700.0));
    }
}
