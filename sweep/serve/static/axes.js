// What the axes of a picture of curves cover, and where their marks stand.

// The range of sorted values, without the outermost 3 % at an end where these lie far away, as first epochs do; the end
// where the better values are is never cut.
export function within(values, better) {
  const [least, most] = [values[0], values.at(-1)];
  const low = values[Math.floor((values.length - 1) * 0.03)];
  const high = values[Math.ceil((values.length - 1) * 0.97)];
  const far = (high - low) * 0.25;
  return [better !== "low" && low - least > far ? low : least, better !== "high" && most - high > far ? high : most];
}

// A range with room around it, which is not empty.
export function roomy(low, high) {
  if (!(high > low)) [low, high] = [low - (Math.abs(low) || 1) * 0.05, low + (Math.abs(low) || 1) * 0.05];
  const room = (high - low) * 0.06;
  return [low - room, high + room];
}

export function nice(step) {
  const power = 10 ** Math.floor(Math.log10(step));
  return [1, 2, 5, 10].find((factor) => factor * power >= step) * power;
}

// The values between two that are marked; on a logarithmic axis the two are exponents of ten.
export function ticks(low, high, logarithmic) {
  const found = [];
  if (!logarithmic) {
    const step = nice((high - low) / 5);
    for (let tick = Math.ceil(low / step) * step; tick <= high; tick += step) found.push(Number(tick.toPrecision(12)));
    return found;
  }
  const factors = high - low > 2 ? [1] : high - low > 0.7 ? [1, 2, 5] : [1, 1.5, 2, 3, 4, 5, 6, 7, 8, 9];
  for (let power = Math.floor(low); power <= Math.ceil(high); power++) {
    for (const factor of factors) {
      const tick = Number((factor * 10 ** power).toPrecision(6));
      if (Math.log10(tick) >= low && Math.log10(tick) <= high) found.push(tick);
    }
  }
  return found;
}

export function shortNumber(value) {
  if (value === 0) return "0";
  const size = Math.abs(value);
  return size >= 1e6 || size < 1e-4 ? value.toExponential(2).replace("e+", "e") : String(Number(value.toPrecision(4)));
}
