; What code for Windows expects of the C library, for a library that is linked without one.
@_fltused = constant i32 1

define ptr @memset(ptr %to, i32 %value, i64 %count) #0 {
entry:
    %byte = trunc i32 %value to i8
    %one = insertelement <32 x i8> poison, i8 %byte, i64 0
    %wide = shufflevector <32 x i8> %one, <32 x i8> poison, <32 x i32> zeroinitializer
    %whole = and i64 %count, -32
    br label %blocks
blocks:
    %at = phi i64 [ 0, %entry ], [ %next, %block ]
    %more = icmp ult i64 %at, %whole
    br i1 %more, label %block, label %rest
block:
    %place = getelementptr i8, ptr %to, i64 %at
    store <32 x i8> %wide, ptr %place, align 1
    %next = add i64 %at, 32
    br label %blocks
rest:
    %last = phi i64 [ %at, %blocks ], [ %following, %single ]
    %left = icmp ult i64 %last, %count
    br i1 %left, label %single, label %done
single:
    %end = getelementptr i8, ptr %to, i64 %last
    store volatile i8 %byte, ptr %end
    %following = add i64 %last, 1
    br label %rest
done:
    ret ptr %to
}

define ptr @memcpy(ptr %to, ptr %from, i64 %count) #0 {
entry:
    %whole = and i64 %count, -32
    br label %blocks
blocks:
    %at = phi i64 [ 0, %entry ], [ %next, %block ]
    %more = icmp ult i64 %at, %whole
    br i1 %more, label %block, label %rest
block:
    %source = getelementptr i8, ptr %from, i64 %at
    %place = getelementptr i8, ptr %to, i64 %at
    %taken = load <32 x i8>, ptr %source, align 1
    store <32 x i8> %taken, ptr %place, align 1
    %next = add i64 %at, 32
    br label %blocks
rest:
    %last = phi i64 [ %at, %blocks ], [ %following, %single ]
    %left = icmp ult i64 %last, %count
    br i1 %left, label %single, label %done
single:
    %read = getelementptr i8, ptr %from, i64 %last
    %end = getelementptr i8, ptr %to, i64 %last
    %byte = load i8, ptr %read
    store volatile i8 %byte, ptr %end
    %following = add i64 %last, 1
    br label %rest
done:
    ret ptr %to
}

; A loop of these functions must not become a call of themselves: LLVM looks for such loops, in which no store is volatile.
attributes #0 = { nounwind "no-builtins" }
