/* Prints the bits of each step's output, and on a Cortex-M how many bytes of the stack a step took. */
#include <stdint.h>
#include <stdio.h>
#include <string.h>

#include "inputs.h"
#include "lstm20.h"

static lstm20_state state;

#if defined(__ARM_ARCH) && __ARM_ARCH_PROFILE == 'M'
enum { PAINTED = 1024, OWN = 16 };

/* Fills the stack below with a word, and looks after the step which words are others; the words next to its own frame aren't painted. */
__attribute__((noinline)) static uint32_t stack_of_a_step(const float *x, float *y) {
    volatile uint32_t *here = __builtin_frame_address(0), *low = here - PAINTED, *word;
    for (word = low; word < here - OWN; word++) *word = 0x5AFE5AFE;
    lstm20_step(&state, x, y);
    for (word = low; *word == 0x5AFE5AFE; word++) {}
    return (uint32_t)((uintptr_t)here - (uintptr_t)word);
}
#else
static uint32_t stack_of_a_step(const float *x, float *y) {
    lstm20_step(&state, x, y);
    return 0;
}
#endif

int main(void) {
    uint32_t stack = 0;
    int step;
    for (step = 0; step < STEPS; step++) {
        float x, y;
        uint32_t bits, used;
        if (step % SEQUENCE == 0) memset(&state, 0, sizeof state);
        memcpy(&x, inputs + step, sizeof x);
        used = stack_of_a_step(&x, &y);
        if (used > stack) stack = used;
        memcpy(&bits, &y, sizeof bits);
        printf("%08lx\n", (unsigned long)bits);
    }
    printf("stack %lu\n", (unsigned long)stack);
    return 0;
}
