target triple = "x86_64-unknown-linux-gnu"
declare <8 x float> @llvm.fma.v8f32(<8 x float>, <8 x float>, <8 x float>)
declare <8 x float> @llvm.masked.load.v8f32.p0(ptr, <8 x i1>, <8 x float>)
declare <8 x float> @llvm.sqrt.v8f32(<8 x float>)
declare void @llvm.masked.store.v8f32.p0(<8 x float>, ptr, <8 x i1>)
declare void @llvm.x86.sse.ldmxcsr(ptr)
declare void @llvm.x86.sse.stmxcsr(ptr)
define internal void @f.prepare.0(ptr %buffer.0, ptr %buffer.1, i64 %start, i64 %stop) #0 {
entry:
  %v.1 = icmp sle i64 %start, 0
  %v.2 = icmp sgt i64 %stop, 0
  %v.3 = and i1 %v.1, %v.2
  br i1 %v.3, label %when.4.then, label %when.4.end
when.4.then:
  br label %k.5.head
k.5.head:
  %k.5 = phi i64 [ 0, %when.4.then ], [ %i.13, %k.5.body ]
  %i.6 = add nsw i64 %k.5, 1
  %v.7 = icmp sle i64 %i.6, 3
  br i1 %v.7, label %k.5.body, label %k.5.end
k.5.body:
  %i.8 = mul nsw i64 %k.5, 8
  %p.9 = getelementptr inbounds float, ptr %buffer.0, i64 %i.8
  %i.10 = mul nsw i64 %k.5, 5
  %p.11 = getelementptr inbounds float, ptr %buffer.1, i64 %i.10
  %v.12 = call <8 x float> @llvm.masked.load.v8f32.p0(ptr align 4 %p.11, <8 x i1> <i1 true, i1 true, i1 true, i1 true, i1 true, i1 false, i1 false, i1 false>, <8 x float> zeroinitializer)
  store <8 x float> %v.12, ptr %p.9, align 4
  %i.13 = add nsw i64 %k.5, 1
  br label %k.5.head
k.5.end:
  br label %when.4.end
when.4.end:
  ret void
}

define dso_local void @rnnspec_f_prepare(ptr %pointers, ptr %dims) #0 {
entry:
  %state.1 = alloca i32
  %state.2 = alloca i32
  call void @llvm.x86.sse.stmxcsr(ptr %state.1)
  %v.3 = load i32, ptr %state.1
  %v.4 = or i32 %v.3, 32832
  store i32 %v.4, ptr %state.2
  call void @llvm.x86.sse.ldmxcsr(ptr %state.2)
  %p.5 = getelementptr inbounds ptr, ptr %pointers, i64 0
  %pointer.6 = load ptr, ptr %p.5
  %p.7 = getelementptr inbounds ptr, ptr %pointers, i64 1
  %pointer.8 = load ptr, ptr %p.7
  %slot.9 = getelementptr inbounds i8, ptr %pointer.8, i64 0
  %p.10 = getelementptr inbounds i8, ptr %pointer.6, i64 0
  call void @f.prepare.0(ptr %slot.9, ptr %p.10, i64 0, i64 1)
  call void @llvm.x86.sse.ldmxcsr(ptr %state.1)
  ret void
}

define dso_local void @rnnspec_f_prepare_shared(ptr %pointers, ptr %dims, ptr %shared, i64 %follows) #0 {
entry:
  %state.1 = alloca i32
  %state.2 = alloca i32
  call void @llvm.x86.sse.stmxcsr(ptr %state.1)
  %v.3 = load i32, ptr %state.1
  %v.4 = or i32 %v.3, 32832
  store i32 %v.4, ptr %state.2
  call void @llvm.x86.sse.ldmxcsr(ptr %state.2)
  %p.5 = getelementptr inbounds ptr, ptr %pointers, i64 0
  %pointer.6 = load ptr, ptr %p.5
  %p.7 = getelementptr inbounds ptr, ptr %pointers, i64 1
  %pointer.8 = load ptr, ptr %p.7
  %slot.9 = getelementptr inbounds i8, ptr %pointer.8, i64 0
  %p.10 = getelementptr inbounds i8, ptr %pointer.6, i64 0
  %number.11 = call i64 @rnnspec.join(ptr %shared, i64 %follows)
  %v.12 = icmp sge i64 %number.11, 0
  br i1 %v.12, label %when.13.then, label %when.13.end
when.13.then:
  %p.14 = getelementptr inbounds i64, ptr %shared, i64 1
  %shards.15 = load i64, ptr %p.14
  %v.16 = icmp eq i64 %number.11, 0
  %i.17 = add nsw i64 %number.11, 1
  %i.18 = mul nsw i64 1, %number.11
  %edge.19 = sdiv i64 %i.18, %shards.15
  %i.20 = mul nsw i64 1, %i.17
  %edge.21 = sdiv i64 %i.20, %shards.15
  call void @f.prepare.0(ptr %slot.9, ptr %p.10, i64 %edge.19, i64 %edge.21)
  call void @rnnspec.wait(ptr %shared, i64 %shards.15)
  br label %when.13.end
when.13.end:
  call void @llvm.x86.sse.ldmxcsr(ptr %state.1)
  ret void
}

define internal void @f.0(ptr %buffer.0, ptr %buffer.1, ptr %buffer.2, i64 %start, i64 %stop, i64 %token) #0 {
entry:
  br label %r.1.head
r.1.head:
  %r.1 = phi i64 [ %start, %entry ], [ %i.87, %k.21.end ]
  %i.2 = add nsw i64 %r.1, 6
  %v.3 = icmp sle i64 %i.2, %stop
  br i1 %v.3, label %r.1.body, label %r.1.end
r.1.body:
  %i.4 = mul nsw i64 %r.1, 3
  %p.5 = getelementptr inbounds float, ptr %buffer.0, i64 %i.4
  %i.6 = add nsw i64 %r.1, 1
  %i.7 = mul nsw i64 %i.6, 3
  %p.8 = getelementptr inbounds float, ptr %buffer.0, i64 %i.7
  %i.9 = add nsw i64 %r.1, 2
  %i.10 = mul nsw i64 %i.9, 3
  %p.11 = getelementptr inbounds float, ptr %buffer.0, i64 %i.10
  %i.12 = add nsw i64 %r.1, 3
  %i.13 = mul nsw i64 %i.12, 3
  %p.14 = getelementptr inbounds float, ptr %buffer.0, i64 %i.13
  %i.15 = add nsw i64 %r.1, 4
  %i.16 = mul nsw i64 %i.15, 3
  %p.17 = getelementptr inbounds float, ptr %buffer.0, i64 %i.16
  %i.18 = add nsw i64 %r.1, 5
  %i.19 = mul nsw i64 %i.18, 3
  %p.20 = getelementptr inbounds float, ptr %buffer.0, i64 %i.19
  br label %k.21.head
k.21.head:
  %k.21 = phi i64 [ 0, %r.1.body ], [ %i.63, %k.21.body ]
  %c.22 = phi <8 x float> [ zeroinitializer, %r.1.body ], [ %a.57, %k.21.body ]
  %c.23 = phi <8 x float> [ zeroinitializer, %r.1.body ], [ %a.58, %k.21.body ]
  %c.24 = phi <8 x float> [ zeroinitializer, %r.1.body ], [ %a.59, %k.21.body ]
  %c.25 = phi <8 x float> [ zeroinitializer, %r.1.body ], [ %a.60, %k.21.body ]
  %c.26 = phi <8 x float> [ zeroinitializer, %r.1.body ], [ %a.61, %k.21.body ]
  %c.27 = phi <8 x float> [ zeroinitializer, %r.1.body ], [ %a.62, %k.21.body ]
  %i.28 = add nsw i64 %k.21, 1
  %v.29 = icmp sle i64 %i.28, 3
  br i1 %v.29, label %k.21.body, label %k.21.end
k.21.body:
  %i.30 = mul nsw i64 %k.21, 8
  %p.31 = getelementptr inbounds float, ptr %buffer.1, i64 %i.30
  %v.32 = load <8 x float>, ptr %p.31, align 4
  %p.33 = getelementptr inbounds float, ptr %p.5, i64 %k.21
  %s.34 = load float, ptr %p.33, align 4
  %v.35 = insertelement <8 x float> poison, float %s.34, i64 0
  %v.36 = shufflevector <8 x float> %v.35, <8 x float> poison, <8 x i32> zeroinitializer
  %p.37 = getelementptr inbounds float, ptr %p.8, i64 %k.21
  %s.38 = load float, ptr %p.37, align 4
  %v.39 = insertelement <8 x float> poison, float %s.38, i64 0
  %v.40 = shufflevector <8 x float> %v.39, <8 x float> poison, <8 x i32> zeroinitializer
  %p.41 = getelementptr inbounds float, ptr %p.11, i64 %k.21
  %s.42 = load float, ptr %p.41, align 4
  %v.43 = insertelement <8 x float> poison, float %s.42, i64 0
  %v.44 = shufflevector <8 x float> %v.43, <8 x float> poison, <8 x i32> zeroinitializer
  %p.45 = getelementptr inbounds float, ptr %p.14, i64 %k.21
  %s.46 = load float, ptr %p.45, align 4
  %v.47 = insertelement <8 x float> poison, float %s.46, i64 0
  %v.48 = shufflevector <8 x float> %v.47, <8 x float> poison, <8 x i32> zeroinitializer
  %p.49 = getelementptr inbounds float, ptr %p.17, i64 %k.21
  %s.50 = load float, ptr %p.49, align 4
  %v.51 = insertelement <8 x float> poison, float %s.50, i64 0
  %v.52 = shufflevector <8 x float> %v.51, <8 x float> poison, <8 x i32> zeroinitializer
  %p.53 = getelementptr inbounds float, ptr %p.20, i64 %k.21
  %s.54 = load float, ptr %p.53, align 4
  %v.55 = insertelement <8 x float> poison, float %s.54, i64 0
  %v.56 = shufflevector <8 x float> %v.55, <8 x float> poison, <8 x i32> zeroinitializer
  %a.57 = call <8 x float> @llvm.fma.v8f32(<8 x float> %v.36, <8 x float> %v.32, <8 x float> %c.22)
  %a.58 = call <8 x float> @llvm.fma.v8f32(<8 x float> %v.40, <8 x float> %v.32, <8 x float> %c.23)
  %a.59 = call <8 x float> @llvm.fma.v8f32(<8 x float> %v.44, <8 x float> %v.32, <8 x float> %c.24)
  %a.60 = call <8 x float> @llvm.fma.v8f32(<8 x float> %v.48, <8 x float> %v.32, <8 x float> %c.25)
  %a.61 = call <8 x float> @llvm.fma.v8f32(<8 x float> %v.52, <8 x float> %v.32, <8 x float> %c.26)
  %a.62 = call <8 x float> @llvm.fma.v8f32(<8 x float> %v.56, <8 x float> %v.32, <8 x float> %c.27)
  %i.63 = add nsw i64 %k.21, 1
  br label %k.21.head
k.21.end:
  %v.64 = call <8 x float> @llvm.sqrt.v8f32(<8 x float> %c.22)
  %i.65 = mul nsw i64 %r.1, 5
  %p.66 = getelementptr inbounds float, ptr %buffer.2, i64 %i.65
  call void @llvm.masked.store.v8f32.p0(<8 x float> %v.64, ptr align 4 %p.66, <8 x i1> <i1 true, i1 true, i1 true, i1 true, i1 true, i1 false, i1 false, i1 false>)
  %v.67 = call <8 x float> @llvm.sqrt.v8f32(<8 x float> %c.23)
  %i.68 = add nsw i64 %r.1, 1
  %i.69 = mul nsw i64 %i.68, 5
  %p.70 = getelementptr inbounds float, ptr %buffer.2, i64 %i.69
  call void @llvm.masked.store.v8f32.p0(<8 x float> %v.67, ptr align 4 %p.70, <8 x i1> <i1 true, i1 true, i1 true, i1 true, i1 true, i1 false, i1 false, i1 false>)
  %v.71 = call <8 x float> @llvm.sqrt.v8f32(<8 x float> %c.24)
  %i.72 = add nsw i64 %r.1, 2
  %i.73 = mul nsw i64 %i.72, 5
  %p.74 = getelementptr inbounds float, ptr %buffer.2, i64 %i.73
  call void @llvm.masked.store.v8f32.p0(<8 x float> %v.71, ptr align 4 %p.74, <8 x i1> <i1 true, i1 true, i1 true, i1 true, i1 true, i1 false, i1 false, i1 false>)
  %v.75 = call <8 x float> @llvm.sqrt.v8f32(<8 x float> %c.25)
  %i.76 = add nsw i64 %r.1, 3
  %i.77 = mul nsw i64 %i.76, 5
  %p.78 = getelementptr inbounds float, ptr %buffer.2, i64 %i.77
  call void @llvm.masked.store.v8f32.p0(<8 x float> %v.75, ptr align 4 %p.78, <8 x i1> <i1 true, i1 true, i1 true, i1 true, i1 true, i1 false, i1 false, i1 false>)
  %v.79 = call <8 x float> @llvm.sqrt.v8f32(<8 x float> %c.26)
  %i.80 = add nsw i64 %r.1, 4
  %i.81 = mul nsw i64 %i.80, 5
  %p.82 = getelementptr inbounds float, ptr %buffer.2, i64 %i.81
  call void @llvm.masked.store.v8f32.p0(<8 x float> %v.79, ptr align 4 %p.82, <8 x i1> <i1 true, i1 true, i1 true, i1 true, i1 true, i1 false, i1 false, i1 false>)
  %v.83 = call <8 x float> @llvm.sqrt.v8f32(<8 x float> %c.27)
  %i.84 = add nsw i64 %r.1, 5
  %i.85 = mul nsw i64 %i.84, 5
  %p.86 = getelementptr inbounds float, ptr %buffer.2, i64 %i.85
  call void @llvm.masked.store.v8f32.p0(<8 x float> %v.83, ptr align 4 %p.86, <8 x i1> <i1 true, i1 true, i1 true, i1 true, i1 true, i1 false, i1 false, i1 false>)
  %i.87 = add nsw i64 %r.1, 6
  br label %r.1.head
r.1.end:
  br label %r.88.head
r.88.head:
  %r.88 = phi i64 [ %r.1, %r.1.end ], [ %i.122, %k.96.end ]
  %i.89 = add nsw i64 %r.88, 2
  %v.90 = icmp sle i64 %i.89, %stop
  br i1 %v.90, label %r.88.body, label %r.88.end
r.88.body:
  %i.91 = mul nsw i64 %r.88, 3
  %p.92 = getelementptr inbounds float, ptr %buffer.0, i64 %i.91
  %i.93 = add nsw i64 %r.88, 1
  %i.94 = mul nsw i64 %i.93, 3
  %p.95 = getelementptr inbounds float, ptr %buffer.0, i64 %i.94
  br label %k.96.head
k.96.head:
  %k.96 = phi i64 [ 0, %r.88.body ], [ %i.114, %k.96.body ]
  %c.97 = phi <8 x float> [ zeroinitializer, %r.88.body ], [ %a.112, %k.96.body ]
  %c.98 = phi <8 x float> [ zeroinitializer, %r.88.body ], [ %a.113, %k.96.body ]
  %i.99 = add nsw i64 %k.96, 1
  %v.100 = icmp sle i64 %i.99, 3
  br i1 %v.100, label %k.96.body, label %k.96.end
k.96.body:
  %i.101 = mul nsw i64 %k.96, 8
  %p.102 = getelementptr inbounds float, ptr %buffer.1, i64 %i.101
  %v.103 = load <8 x float>, ptr %p.102, align 4
  %p.104 = getelementptr inbounds float, ptr %p.92, i64 %k.96
  %s.105 = load float, ptr %p.104, align 4
  %v.106 = insertelement <8 x float> poison, float %s.105, i64 0
  %v.107 = shufflevector <8 x float> %v.106, <8 x float> poison, <8 x i32> zeroinitializer
  %p.108 = getelementptr inbounds float, ptr %p.95, i64 %k.96
  %s.109 = load float, ptr %p.108, align 4
  %v.110 = insertelement <8 x float> poison, float %s.109, i64 0
  %v.111 = shufflevector <8 x float> %v.110, <8 x float> poison, <8 x i32> zeroinitializer
  %a.112 = call <8 x float> @llvm.fma.v8f32(<8 x float> %v.107, <8 x float> %v.103, <8 x float> %c.97)
  %a.113 = call <8 x float> @llvm.fma.v8f32(<8 x float> %v.111, <8 x float> %v.103, <8 x float> %c.98)
  %i.114 = add nsw i64 %k.96, 1
  br label %k.96.head
k.96.end:
  %v.115 = call <8 x float> @llvm.sqrt.v8f32(<8 x float> %c.97)
  %i.116 = mul nsw i64 %r.88, 5
  %p.117 = getelementptr inbounds float, ptr %buffer.2, i64 %i.116
  call void @llvm.masked.store.v8f32.p0(<8 x float> %v.115, ptr align 4 %p.117, <8 x i1> <i1 true, i1 true, i1 true, i1 true, i1 true, i1 false, i1 false, i1 false>)
  %v.118 = call <8 x float> @llvm.sqrt.v8f32(<8 x float> %c.98)
  %i.119 = add nsw i64 %r.88, 1
  %i.120 = mul nsw i64 %i.119, 5
  %p.121 = getelementptr inbounds float, ptr %buffer.2, i64 %i.120
  call void @llvm.masked.store.v8f32.p0(<8 x float> %v.118, ptr align 4 %p.121, <8 x i1> <i1 true, i1 true, i1 true, i1 true, i1 true, i1 false, i1 false, i1 false>)
  %i.122 = add nsw i64 %r.88, 2
  br label %r.88.head
r.88.end:
  %i.123 = sub nsw i64 %stop, %start
  %left.124 = srem i64 %i.123, 6
  %left.125 = srem i64 %left.124, 2
  %i.126 = sub nsw i64 %stop, %left.125
  br label %r.127.head
r.127.head:
  %r.127 = phi i64 [ %i.126, %r.88.end ], [ %i.148, %k.132.end ]
  %i.128 = add nsw i64 %r.127, 1
  %v.129 = icmp sle i64 %i.128, %stop
  br i1 %v.129, label %r.127.body, label %r.127.end
r.127.body:
  %i.130 = mul nsw i64 %r.127, 3
  %p.131 = getelementptr inbounds float, ptr %buffer.0, i64 %i.130
  br label %k.132.head
k.132.head:
  %k.132 = phi i64 [ 0, %r.127.body ], [ %i.144, %k.132.body ]
  %c.133 = phi <8 x float> [ zeroinitializer, %r.127.body ], [ %a.143, %k.132.body ]
  %i.134 = add nsw i64 %k.132, 1
  %v.135 = icmp sle i64 %i.134, 3
  br i1 %v.135, label %k.132.body, label %k.132.end
k.132.body:
  %i.136 = mul nsw i64 %k.132, 8
  %p.137 = getelementptr inbounds float, ptr %buffer.1, i64 %i.136
  %v.138 = load <8 x float>, ptr %p.137, align 4
  %p.139 = getelementptr inbounds float, ptr %p.131, i64 %k.132
  %s.140 = load float, ptr %p.139, align 4
  %v.141 = insertelement <8 x float> poison, float %s.140, i64 0
  %v.142 = shufflevector <8 x float> %v.141, <8 x float> poison, <8 x i32> zeroinitializer
  %a.143 = call <8 x float> @llvm.fma.v8f32(<8 x float> %v.142, <8 x float> %v.138, <8 x float> %c.133)
  %i.144 = add nsw i64 %k.132, 1
  br label %k.132.head
k.132.end:
  %v.145 = call <8 x float> @llvm.sqrt.v8f32(<8 x float> %c.133)
  %i.146 = mul nsw i64 %r.127, 5
  %p.147 = getelementptr inbounds float, ptr %buffer.2, i64 %i.146
  call void @llvm.masked.store.v8f32.p0(<8 x float> %v.145, ptr align 4 %p.147, <8 x i1> <i1 true, i1 true, i1 true, i1 true, i1 true, i1 false, i1 false, i1 false>)
  %i.148 = add nsw i64 %r.127, 1
  br label %r.127.head
r.127.end:
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
  %p.11 = getelementptr inbounds ptr, ptr %pointers, i64 2
  %pointer.12 = load ptr, ptr %p.11
  %p.13 = getelementptr inbounds ptr, ptr %pointers, i64 3
  %pointer.14 = load ptr, ptr %p.13
  %slot.15 = getelementptr inbounds i8, ptr %pointer.14, i64 0
  %p.16 = getelementptr inbounds i8, ptr %pointer.12, i64 0
  call void @f.0(ptr %pointer.8, ptr %slot.15, ptr %pointer.10, i64 0, i64 %batch.6, i64 0)
  call void @llvm.x86.sse.ldmxcsr(ptr %state.1)
  ret void
}

define dso_local void @rnnspec_f_shared(ptr %pointers, ptr %dims, ptr %shared, i64 %follows) #0 {
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
  %p.11 = getelementptr inbounds ptr, ptr %pointers, i64 2
  %pointer.12 = load ptr, ptr %p.11
  %p.13 = getelementptr inbounds ptr, ptr %pointers, i64 3
  %pointer.14 = load ptr, ptr %p.13
  %slot.15 = getelementptr inbounds i8, ptr %pointer.14, i64 0
  %p.16 = getelementptr inbounds i8, ptr %pointer.12, i64 0
  %number.17 = call i64 @rnnspec.join(ptr %shared, i64 %follows)
  %v.18 = icmp sge i64 %number.17, 0
  br i1 %v.18, label %when.19.then, label %when.19.end
when.19.then:
  %p.20 = getelementptr inbounds i64, ptr %shared, i64 1
  %shards.21 = load i64, ptr %p.20
  %v.22 = icmp eq i64 %number.17, 0
  %i.23 = add nsw i64 %number.17, 1
  %i.24 = mul nsw i64 %batch.6, %number.17
  %edge.25 = sdiv i64 %i.24, %shards.21
  %i.26 = mul nsw i64 %batch.6, %i.23
  %edge.27 = sdiv i64 %i.26, %shards.21
  call void @f.0(ptr %pointer.8, ptr %slot.15, ptr %pointer.10, i64 %edge.25, i64 %edge.27, i64 0)
  call void @rnnspec.wait(ptr %shared, i64 %shards.21)
  br label %when.19.end
when.19.end:
  call void @llvm.x86.sse.ldmxcsr(ptr %state.1)
  ret void
}

declare void @llvm.x86.sse2.pause()

define internal void @rnnspec.rest(ptr %shared, i64 %turn) #0 {
entry:
  call void @llvm.x86.sse2.pause()
  %part = and i64 %turn, 127
  %short = icmp ne i64 %part, 127
  br i1 %short, label %end, label %long
long:
  %place = getelementptr inbounds i64, ptr %shared, i64 4
  %yield = load ptr, ptr %place, align 8
  %none = icmp eq ptr %yield, null
  br i1 %none, label %end, label %others
others:
  %result = call i32 %yield()
  br label %end
end:
  ret void
}


define internal i64 @rnnspec.join(ptr %shared, i64 %follows) #0 {
entry:
  %joined = getelementptr inbounds i64, ptr %shared, i64 1
  %number = atomicrmw add ptr %shared, i64 1 acq_rel
  %late = icmp slt i64 %number, 0
  br i1 %late, label %out, label %in
out:
  ret i64 -1
in:
  %leads = icmp eq i64 %follows, 0
  br i1 %leads, label %lead, label %follow
lead:
  %wanted.place = getelementptr inbounds i64, ptr %shared, i64 2
  %wanted = load i64, ptr %wanted.place, align 8
  %patience.place = getelementptr inbounds i64, ptr %shared, i64 3
  %patience = load i64, ptr %patience.place, align 8
  br label %look
look:
  %turn = phi i64 [ 0, %lead ], [ %turn.next, %again ]
  %there = load atomic i64, ptr %shared acquire, align 8
  %some = icmp slt i64 %there, %wanted
  %time = icmp slt i64 %turn, %patience
  %on = and i1 %some, %time
  br i1 %on, label %again, label %close
again:
  call void @rnnspec.rest(ptr %shared, i64 %turn)
  %turn.next = add nsw i64 %turn, 1
  br label %look
close:
  %all = atomicrmw xchg ptr %shared, i64 -4611686018427387904 acq_rel
  store atomic i64 %all, ptr %joined release, align 8
  ret i64 %number
follow:
  %waited = phi i64 [ 0, %in ], [ %waited.next, %more ]
  %shards = load atomic i64, ptr %joined acquire, align 8
  %open = icmp eq i64 %shards, 0
  br i1 %open, label %more, label %known
more:
  call void @rnnspec.rest(ptr %shared, i64 %waited)
  %waited.next = add nsw i64 %waited, 1
  br label %follow
known:
  %broken = icmp slt i64 %shards, 0
  %mine = select i1 %broken, i64 -1, i64 %number
  ret i64 %mine
}


define internal void @rnnspec.wait(ptr %shared, i64 %threads) #0 {
entry:
  %place = getelementptr inbounds i64, ptr %shared, i64 8
  %before = atomicrmw add ptr %place, i64 1 acq_rel
  %barriers = udiv i64 %before, %threads
  %barrier = add nuw i64 %barriers, 1
  %arrivals = mul nuw i64 %barrier, %threads
  br label %look
look:
  %turn = phi i64 [ 0, %entry ], [ %turn.next, %again ]
  %there = load atomic i64, ptr %place acquire, align 8
  %all = icmp sge i64 %there, %arrivals
  br i1 %all, label %end, label %again
again:
  call void @rnnspec.rest(ptr %shared, i64 %turn)
  %turn.next = add nsw i64 %turn, 1
  br label %look
end:
  ret void
}


define internal i64 @rnnspec.first_row(ptr %offsets, i64 %steps, i64 %rows, i64 %shard, i64 %shards) #0 {
entry:
  %end = getelementptr inbounds i32, ptr %offsets, i64 %steps
  %total.short = load i32, ptr %end, align 4
  %total = sext i32 %total.short to i64
  %share = mul nsw i64 %total, %shard
  br label %search
search:
  %low = phi i64 [ 0, %entry ], [ %low.next, %counted ]
  %high = phi i64 [ %rows, %entry ], [ %high.next, %counted ]
  %open = icmp slt i64 %low, %high
  br i1 %open, label %halve, label %found
halve:
  %both = add nsw i64 %low, %high
  %middle = lshr i64 %both, 1
  br label %count
count:
  %step = phi i64 [ 0, %halve ], [ %after, %add ]
  %tokens = phi i64 [ 0, %halve ], [ %tokens.next, %add ]
  %on = icmp slt i64 %step, %steps
  br i1 %on, label %add, label %counted
add:
  %after = add nsw i64 %step, 1
  %this.place = getelementptr inbounds i32, ptr %offsets, i64 %step
  %next.place = getelementptr inbounds i32, ptr %offsets, i64 %after
  %this = load i32, ptr %this.place, align 4
  %next = load i32, ptr %next.place, align 4
  %here.short = sub nsw i32 %next, %this
  %here = sext i32 %here.short to i64
  %fewer = icmp slt i64 %here, %middle
  %below = select i1 %fewer, i64 %here, i64 %middle
  %tokens.next = add nsw i64 %tokens, %below
  br label %count
counted:
  %scaled = mul nsw i64 %tokens, %shards
  %enough = icmp sge i64 %scaled, %share
  %above = add nsw i64 %middle, 1
  %low.next = select i1 %enough, i64 %low, i64 %above
  %high.next = select i1 %enough, i64 %middle, i64 %high
  br label %search
found:
  ret i64 %low
}


attributes #0 = { nounwind }
