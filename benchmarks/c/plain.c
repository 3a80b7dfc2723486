/* The step of LSTM(UNITS) and Dense(1) as one writes it by hand: Keras's weights, with the gates in its order, i, f, c, o. */
#include <math.h>

#include "plain.h"

static inline float sigmoid(float x) { return 1.0f / (1.0f + expf(-x)); }

void plain_step(plain_state *restrict state, const float *restrict x, float *restrict y) {
    float gates[4 * UNITS], sum = dense_bias[0];
    for (int u = 0; u < 4 * UNITS; u++) gates[u] = bias[u] + x[0] * kernel[u];
    for (int k = 0; k < UNITS; k++)
        for (int u = 0; u < 4 * UNITS; u++) gates[u] += state->h[k] * recurrent[k * 4 * UNITS + u];
    for (int u = 0; u < UNITS; u++) {
        float c = sigmoid(gates[UNITS + u]) * state->c[u] + sigmoid(gates[u]) * tanhf(gates[2 * UNITS + u]);
        state->c[u] = c;
        state->h[u] = sigmoid(gates[3 * UNITS + u]) * tanhf(c);
        sum += state->h[u] * dense_kernel[u];
    }
    *y = sum;
}
