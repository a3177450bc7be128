/** What a regression needs of linear algebra. A matrix is one array, row by row. */

/**
 * Rows of `right` times the inverse of `symmetric`, by Cholesky.
 *
 * @param {Float64Array} symmetric
 * @param {Float64Array} right
 * @param {number} dim rows and columns of `symmetric`
 */
export function solve(symmetric, right, dim) {
  const L = symmetric.slice();
  for (let j = 0; j < dim; j++) {
    for (let k = 0; k < j; k++)
      for (let i = j; i < dim; i++) L[i * dim + j] -= L[i * dim + k] * L[j * dim + k];
    const root = Math.sqrt(L[j * dim + j]);
    for (let i = j; i < dim; i++) L[i * dim + j] /= root;
  }
  const result = right.slice();
  for (let r = 0; r < dim; r++) {
    const row = result.subarray(r * dim, (r + 1) * dim);
    for (let i = 0; i < dim; i++) {
      for (let k = 0; k < i; k++) row[i] -= L[i * dim + k] * row[k];
      row[i] /= L[i * dim + i];
    }
    for (let i = dim - 1; i >= 0; i--) {
      for (let k = i + 1; k < dim; k++) row[i] -= L[k * dim + i] * row[k];
      row[i] /= L[i * dim + i];
    }
  }
  return result;
}

/**
 * Gram and Schmidt on columns, in place.
 *
 * @param {Float64Array} M
 * @param {number} columns
 */
export function orthonormal(M, columns) {
  const rows = M.length / columns;
  for (let c = 0; c < columns; c++) {
    for (let before = 0; before < c; before++) {
      let product = 0;
      for (let i = 0; i < rows; i++) product += M[i * columns + c] * M[i * columns + before];
      for (let i = 0; i < rows; i++) M[i * columns + c] -= product * M[i * columns + before];
    }
    let square = 0;
    for (let i = 0; i < rows; i++) square += M[i * columns + c] ** 2;
    for (let i = 0; i < rows; i++) M[i * columns + c] /= Math.sqrt(square);
  }
  return M;
}

/**
 * (rows x inner) times (inner x columns).
 *
 * @param {Float64Array} a
 * @param {Float64Array} b
 * @param {number} rows
 * @param {number} inner
 * @param {number} columns
 */
export function multiply(a, b, rows, inner, columns) {
  const result = new Float64Array(rows * columns);
  for (let r = 0; r < rows; r++) {
    for (let k = 0; k < inner; k++) {
      const factor = a[r * inner + k];
      for (let c = 0; c < columns; c++) result[r * columns + c] += factor * b[k * columns + c];
    }
  }
  return result;
}

/**
 * @param {Float64Array} a
 * @param {number} rows
 * @param {number} columns
 */
export function transpose(a, rows, columns) {
  return Float64Array.from({ length: a.length }, (_, i) => a[(i % rows) * columns + Math.floor(i / rows)]);
}
