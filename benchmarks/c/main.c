/* Both steps in turns in one process, TURNS times STEPS of each: prints the nanoseconds of a step in each turn, then the largest difference. */
#define _POSIX_C_SOURCE 199309L
#include <math.h>
#include <stdio.h>
#include <string.h>
#include <time.h>

#include "net.h"
#include "plain.h"

void plain_step(plain_state *state, const float *x, float *y);

static float x[STEPS], mine[STEPS], plain[STEPS];

static double now(void) {
    struct timespec time;
    clock_gettime(CLOCK_PROCESS_CPUTIME_ID, &time); /* what others use of the processor isn't counted */
    return time.tv_sec * 1e9 + time.tv_nsec;
}

int main(void) {
    double largest = 0;
    unsigned number = 1;
    for (int step = 0; step < STEPS; step++) {
        number = number * 1664525u + 1013904223u;
        x[step] = (float)(number >> 8) / (1 << 23) - 1.0f;
    }
    for (int turn = 0; turn < TURNS; turn++) {
        net_state own;
        plain_state by_hand;
        memset(&own, 0, sizeof own);
        memset(&by_hand, 0, sizeof by_hand);
        double begun = now();
        for (int step = 0; step < STEPS; step++) net_step(&own, x + step, mine + step);
        double between = now();
        for (int step = 0; step < STEPS; step++) plain_step(&by_hand, x + step, plain + step);
        double ended = now();
        printf("%.3f %.3f\n", (between - begun) / STEPS, (ended - between) / STEPS);
    }
    for (int step = 0; step < STEPS; step++) largest = fmax(largest, fabs((double)mine[step] - plain[step]));
    printf("%.9g\n", largest);
    return 0;
}
