target triple = "x86_64-unknown-linux-gnu"
declare <8 x float> @llvm.fma.v8f32(<8 x float>, <8 x float>, <8 x float>)
declare <8 x float> @llvm.masked.load.v8f32.p0(ptr, <8 x i1>, <8 x float>)
declare <8 x float> @llvm.sqrt.v8f32(<8 x float>)
declare void @llvm.masked.store.v8f32.p0(<8 x float>, ptr, <8 x i1>)
declare void @llvm.x86.sse.ldmxcsr(ptr)
declare void @llvm.x86.sse.stmxcsr(ptr)
define internal void @f.prepare.0(ptr %buffer.0, ptr %buffer.1) #0 {
entry:
  br label %k.1.head
k.1.head:
  %k.1 = phi i64 [ 0, %entry ], [ %i.9, %k.1.body ]
  %i.2 = add nsw i64 %k.1, 1
  %v.3 = icmp sle i64 %i.2, 3
  br i1 %v.3, label %k.1.body, label %k.1.end
k.1.body:
  %i.4 = mul nsw i64 %k.1, 8
  %p.5 = getelementptr inbounds float, ptr %buffer.0, i64 %i.4
  %i.6 = mul nsw i64 %k.1, 5
  %p.7 = getelementptr inbounds float, ptr %buffer.1, i64 %i.6
  %v.8 = call <8 x float> @llvm.masked.load.v8f32.p0(ptr align 4 %p.7, <8 x i1> <i1 true, i1 true, i1 true, i1 true, i1 true, i1 false, i1 false, i1 false>, <8 x float> zeroinitializer)
  store <8 x float> %v.8, ptr %p.5, align 4
  %i.9 = add nsw i64 %k.1, 1
  br label %k.1.head
k.1.end:
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
  call void @f.prepare.0(ptr %slot.9, ptr %p.10)
  call void @llvm.x86.sse.ldmxcsr(ptr %state.1)
  ret void
}

define internal void @f.0(ptr %buffer.0, ptr %buffer.1, ptr %buffer.2, i64 %rows, i64 %token) #0 {
entry:
  br label %r.1.head
r.1.head:
  %r.1 = phi i64 [ 0, %entry ], [ %i.87, %k.21.end ]
  %i.2 = add nsw i64 %r.1, 6
  %v.3 = icmp sle i64 %i.2, %rows
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
  %v.65 = call <8 x float> @llvm.sqrt.v8f32(<8 x float> %c.23)
  %v.66 = call <8 x float> @llvm.sqrt.v8f32(<8 x float> %c.24)
  %v.67 = call <8 x float> @llvm.sqrt.v8f32(<8 x float> %c.25)
  %v.68 = call <8 x float> @llvm.sqrt.v8f32(<8 x float> %c.26)
  %v.69 = call <8 x float> @llvm.sqrt.v8f32(<8 x float> %c.27)
  %i.70 = mul nsw i64 %r.1, 5
  %p.71 = getelementptr inbounds float, ptr %buffer.2, i64 %i.70
  call void @llvm.masked.store.v8f32.p0(<8 x float> %v.64, ptr align 4 %p.71, <8 x i1> <i1 true, i1 true, i1 true, i1 true, i1 true, i1 false, i1 false, i1 false>)
  %i.72 = add nsw i64 %r.1, 1
  %i.73 = mul nsw i64 %i.72, 5
  %p.74 = getelementptr inbounds float, ptr %buffer.2, i64 %i.73
  call void @llvm.masked.store.v8f32.p0(<8 x float> %v.65, ptr align 4 %p.74, <8 x i1> <i1 true, i1 true, i1 true, i1 true, i1 true, i1 false, i1 false, i1 false>)
  %i.75 = add nsw i64 %r.1, 2
  %i.76 = mul nsw i64 %i.75, 5
  %p.77 = getelementptr inbounds float, ptr %buffer.2, i64 %i.76
  call void @llvm.masked.store.v8f32.p0(<8 x float> %v.66, ptr align 4 %p.77, <8 x i1> <i1 true, i1 true, i1 true, i1 true, i1 true, i1 false, i1 false, i1 false>)
  %i.78 = add nsw i64 %r.1, 3
  %i.79 = mul nsw i64 %i.78, 5
  %p.80 = getelementptr inbounds float, ptr %buffer.2, i64 %i.79
  call void @llvm.masked.store.v8f32.p0(<8 x float> %v.67, ptr align 4 %p.80, <8 x i1> <i1 true, i1 true, i1 true, i1 true, i1 true, i1 false, i1 false, i1 false>)
  %i.81 = add nsw i64 %r.1, 4
  %i.82 = mul nsw i64 %i.81, 5
  %p.83 = getelementptr inbounds float, ptr %buffer.2, i64 %i.82
  call void @llvm.masked.store.v8f32.p0(<8 x float> %v.68, ptr align 4 %p.83, <8 x i1> <i1 true, i1 true, i1 true, i1 true, i1 true, i1 false, i1 false, i1 false>)
  %i.84 = add nsw i64 %r.1, 5
  %i.85 = mul nsw i64 %i.84, 5
  %p.86 = getelementptr inbounds float, ptr %buffer.2, i64 %i.85
  call void @llvm.masked.store.v8f32.p0(<8 x float> %v.69, ptr align 4 %p.86, <8 x i1> <i1 true, i1 true, i1 true, i1 true, i1 true, i1 false, i1 false, i1 false>)
  %i.87 = add nsw i64 %r.1, 6
  br label %r.1.head
r.1.end:
  br label %r.88.head
r.88.head:
  %r.88 = phi i64 [ %r.1, %r.1.end ], [ %i.135, %k.99.end ]
  %i.89 = add nsw i64 %r.88, 3
  %v.90 = icmp sle i64 %i.89, %rows
  br i1 %v.90, label %r.88.body, label %r.88.end
r.88.body:
  %i.91 = mul nsw i64 %r.88, 3
  %p.92 = getelementptr inbounds float, ptr %buffer.0, i64 %i.91
  %i.93 = add nsw i64 %r.88, 1
  %i.94 = mul nsw i64 %i.93, 3
  %p.95 = getelementptr inbounds float, ptr %buffer.0, i64 %i.94
  %i.96 = add nsw i64 %r.88, 2
  %i.97 = mul nsw i64 %i.96, 3
  %p.98 = getelementptr inbounds float, ptr %buffer.0, i64 %i.97
  br label %k.99.head
k.99.head:
  %k.99 = phi i64 [ 0, %r.88.body ], [ %i.123, %k.99.body ]
  %c.100 = phi <8 x float> [ zeroinitializer, %r.88.body ], [ %a.120, %k.99.body ]
  %c.101 = phi <8 x float> [ zeroinitializer, %r.88.body ], [ %a.121, %k.99.body ]
  %c.102 = phi <8 x float> [ zeroinitializer, %r.88.body ], [ %a.122, %k.99.body ]
  %i.103 = add nsw i64 %k.99, 1
  %v.104 = icmp sle i64 %i.103, 3
  br i1 %v.104, label %k.99.body, label %k.99.end
k.99.body:
  %i.105 = mul nsw i64 %k.99, 8
  %p.106 = getelementptr inbounds float, ptr %buffer.1, i64 %i.105
  %v.107 = load <8 x float>, ptr %p.106, align 4
  %p.108 = getelementptr inbounds float, ptr %p.92, i64 %k.99
  %s.109 = load float, ptr %p.108, align 4
  %v.110 = insertelement <8 x float> poison, float %s.109, i64 0
  %v.111 = shufflevector <8 x float> %v.110, <8 x float> poison, <8 x i32> zeroinitializer
  %p.112 = getelementptr inbounds float, ptr %p.95, i64 %k.99
  %s.113 = load float, ptr %p.112, align 4
  %v.114 = insertelement <8 x float> poison, float %s.113, i64 0
  %v.115 = shufflevector <8 x float> %v.114, <8 x float> poison, <8 x i32> zeroinitializer
  %p.116 = getelementptr inbounds float, ptr %p.98, i64 %k.99
  %s.117 = load float, ptr %p.116, align 4
  %v.118 = insertelement <8 x float> poison, float %s.117, i64 0
  %v.119 = shufflevector <8 x float> %v.118, <8 x float> poison, <8 x i32> zeroinitializer
  %a.120 = call <8 x float> @llvm.fma.v8f32(<8 x float> %v.111, <8 x float> %v.107, <8 x float> %c.100)
  %a.121 = call <8 x float> @llvm.fma.v8f32(<8 x float> %v.115, <8 x float> %v.107, <8 x float> %c.101)
  %a.122 = call <8 x float> @llvm.fma.v8f32(<8 x float> %v.119, <8 x float> %v.107, <8 x float> %c.102)
  %i.123 = add nsw i64 %k.99, 1
  br label %k.99.head
k.99.end:
  %v.124 = call <8 x float> @llvm.sqrt.v8f32(<8 x float> %c.100)
  %v.125 = call <8 x float> @llvm.sqrt.v8f32(<8 x float> %c.101)
  %v.126 = call <8 x float> @llvm.sqrt.v8f32(<8 x float> %c.102)
  %i.127 = mul nsw i64 %r.88, 5
  %p.128 = getelementptr inbounds float, ptr %buffer.2, i64 %i.127
  call void @llvm.masked.store.v8f32.p0(<8 x float> %v.124, ptr align 4 %p.128, <8 x i1> <i1 true, i1 true, i1 true, i1 true, i1 true, i1 false, i1 false, i1 false>)
  %i.129 = add nsw i64 %r.88, 1
  %i.130 = mul nsw i64 %i.129, 5
  %p.131 = getelementptr inbounds float, ptr %buffer.2, i64 %i.130
  call void @llvm.masked.store.v8f32.p0(<8 x float> %v.125, ptr align 4 %p.131, <8 x i1> <i1 true, i1 true, i1 true, i1 true, i1 true, i1 false, i1 false, i1 false>)
  %i.132 = add nsw i64 %r.88, 2
  %i.133 = mul nsw i64 %i.132, 5
  %p.134 = getelementptr inbounds float, ptr %buffer.2, i64 %i.133
  call void @llvm.masked.store.v8f32.p0(<8 x float> %v.126, ptr align 4 %p.134, <8 x i1> <i1 true, i1 true, i1 true, i1 true, i1 true, i1 false, i1 false, i1 false>)
  %i.135 = add nsw i64 %r.88, 3
  br label %r.88.head
r.88.end:
  %left.136 = srem i64 %rows, 6
  %left.137 = srem i64 %left.136, 3
  %i.138 = sub nsw i64 %rows, %left.137
  br label %r.139.head
r.139.head:
  %r.139 = phi i64 [ %i.138, %r.88.end ], [ %i.160, %k.144.end ]
  %i.140 = add nsw i64 %r.139, 1
  %v.141 = icmp sle i64 %i.140, %rows
  br i1 %v.141, label %r.139.body, label %r.139.end
r.139.body:
  %i.142 = mul nsw i64 %r.139, 3
  %p.143 = getelementptr inbounds float, ptr %buffer.0, i64 %i.142
  br label %k.144.head
k.144.head:
  %k.144 = phi i64 [ 0, %r.139.body ], [ %i.156, %k.144.body ]
  %c.145 = phi <8 x float> [ zeroinitializer, %r.139.body ], [ %a.155, %k.144.body ]
  %i.146 = add nsw i64 %k.144, 1
  %v.147 = icmp sle i64 %i.146, 3
  br i1 %v.147, label %k.144.body, label %k.144.end
k.144.body:
  %i.148 = mul nsw i64 %k.144, 8
  %p.149 = getelementptr inbounds float, ptr %buffer.1, i64 %i.148
  %v.150 = load <8 x float>, ptr %p.149, align 4
  %p.151 = getelementptr inbounds float, ptr %p.143, i64 %k.144
  %s.152 = load float, ptr %p.151, align 4
  %v.153 = insertelement <8 x float> poison, float %s.152, i64 0
  %v.154 = shufflevector <8 x float> %v.153, <8 x float> poison, <8 x i32> zeroinitializer
  %a.155 = call <8 x float> @llvm.fma.v8f32(<8 x float> %v.154, <8 x float> %v.150, <8 x float> %c.145)
  %i.156 = add nsw i64 %k.144, 1
  br label %k.144.head
k.144.end:
  %v.157 = call <8 x float> @llvm.sqrt.v8f32(<8 x float> %c.145)
  %i.158 = mul nsw i64 %r.139, 5
  %p.159 = getelementptr inbounds float, ptr %buffer.2, i64 %i.158
  call void @llvm.masked.store.v8f32.p0(<8 x float> %v.157, ptr align 4 %p.159, <8 x i1> <i1 true, i1 true, i1 true, i1 true, i1 true, i1 false, i1 false, i1 false>)
  %i.160 = add nsw i64 %r.139, 1
  br label %r.139.head
r.139.end:
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
  call void @f.0(ptr %pointer.8, ptr %slot.15, ptr %pointer.10, i64 %batch.6, i64 0)
  call void @llvm.x86.sse.ldmxcsr(ptr %state.1)
  ret void
}


attributes #0 = { nounwind }
