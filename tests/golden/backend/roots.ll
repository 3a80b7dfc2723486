target triple = "x86_64-unknown-linux-gnu"
declare <8 x float> @llvm.masked.load.v8f32.p0(ptr, <8 x i1>, <8 x float>)
declare <8 x float> @llvm.sqrt.v8f32(<8 x float>)
declare void @llvm.masked.store.v8f32.p0(<8 x float>, ptr, <8 x i1>)
declare void @llvm.x86.sse.ldmxcsr(ptr)
declare void @llvm.x86.sse.stmxcsr(ptr)
define dso_local void @rnnspec_f_prepare(ptr %pointers, ptr %dims) #0 {
entry:
  %state.1 = alloca i32
  %state.2 = alloca i32
  call void @llvm.x86.sse.stmxcsr(ptr %state.1)
  %v.3 = load i32, ptr %state.1
  %v.4 = or i32 %v.3, 32832
  store i32 %v.4, ptr %state.2
  call void @llvm.x86.sse.ldmxcsr(ptr %state.2)
  call void @llvm.x86.sse.ldmxcsr(ptr %state.1)
  ret void
}

define internal void @f.0(ptr %buffer.0, ptr %buffer.1, i64 %start, i64 %stop, i64 %token) #0 {
entry:
  br label %r.1.head
r.1.head:
  %r.1 = phi i64 [ %start, %entry ], [ %i.10, %r.1.body ]
  %i.2 = add nsw i64 %r.1, 1
  %v.3 = icmp sle i64 %i.2, %stop
  br i1 %v.3, label %r.1.body, label %r.1.end
r.1.body:
  %i.4 = mul nsw i64 %r.1, 5
  %p.5 = getelementptr inbounds float, ptr %buffer.0, i64 %i.4
  %v.6 = call <8 x float> @llvm.masked.load.v8f32.p0(ptr align 4 %p.5, <8 x i1> <i1 true, i1 true, i1 true, i1 true, i1 true, i1 false, i1 false, i1 false>, <8 x float> zeroinitializer)
  %v.7 = call <8 x float> @llvm.sqrt.v8f32(<8 x float> %v.6)
  %i.8 = mul nsw i64 %r.1, 5
  %p.9 = getelementptr inbounds float, ptr %buffer.1, i64 %i.8
  call void @llvm.masked.store.v8f32.p0(<8 x float> %v.7, ptr align 4 %p.9, <8 x i1> <i1 true, i1 true, i1 true, i1 true, i1 true, i1 false, i1 false, i1 false>)
  %i.10 = add nsw i64 %r.1, 1
  br label %r.1.head
r.1.end:
  ret void
}

define dso_local void @rnnspec_f(ptr %pointers, ptr %dims) #0 {
entry:
  %state.1 = alloca i32
  %state.2 = alloca i32
  call void @llvm.x86.sse.stmxcsr(ptr %state.1)
  %v.3 = load i32, ptr %state.1
  %v.4 = or i32 %v.3, 32832
  store i32 %v.4, ptr %state.2
  call void @llvm.x86.sse.ldmxcsr(ptr %state.2)
  %p.5 = getelementptr inbounds i64, ptr %dims, i64 0
  %batch.6 = load i64, ptr %p.5
  %p.7 = getelementptr inbounds ptr, ptr %pointers, i64 0
  %pointer.8 = load ptr, ptr %p.7
  %p.9 = getelementptr inbounds ptr, ptr %pointers, i64 1
  %pointer.10 = load ptr, ptr %p.9
  call void @f.0(ptr %pointer.8, ptr %pointer.10, i64 0, i64 %batch.6, i64 0)
  call void @llvm.x86.sse.ldmxcsr(ptr %state.1)
  ret void
}



attributes #0 = { nounwind }
