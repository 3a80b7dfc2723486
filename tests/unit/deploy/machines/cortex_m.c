/* What a Cortex-M does before newlib's start: its vectors, and the FPU switched on. */
#include <stdint.h>

extern uint32_t __stack[];
void _start(void);

void reset(void);

void reset(void) {
#if __ARM_FP
    *(volatile uint32_t *)0xE000ED88 |= 0xFu << 20; /* CPACR */
    __asm__ volatile("dsb\nisb");
#endif
    _start();
}

static void fault(void) {
    for (;;) {}
}

__attribute__((section(".vectors"), used)) static void *const vectors[16] = {
    __stack, (void *)reset, (void *)fault, (void *)fault, (void *)fault, (void *)fault, (void *)fault,
};
